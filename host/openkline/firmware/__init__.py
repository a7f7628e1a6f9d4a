"""What is compiled for a board."""
