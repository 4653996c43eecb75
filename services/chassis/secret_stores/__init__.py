"""Where secrets are kept: one source a file."""
