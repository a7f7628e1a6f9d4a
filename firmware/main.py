# boot window, then the application
