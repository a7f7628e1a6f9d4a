"""One board: its port, the PC's end of the link, what subscribers hear; and the virtual board in its place."""
