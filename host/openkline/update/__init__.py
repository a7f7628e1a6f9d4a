"""A new version for a flashed board: the bundle, its way to the board, passwords."""
