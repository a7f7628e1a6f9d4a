"""For every server: who may connect, how often, how addresses are written."""
