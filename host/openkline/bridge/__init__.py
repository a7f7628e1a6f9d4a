"""The daemon: board on one side, clients on the other, and what watches over both."""
