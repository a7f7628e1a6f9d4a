"""OBD-II over the board: calls (the link), session (one car), diagnostics (what a mechanic asks), profile (memory)."""
