"""One implementation of one port a file."""
