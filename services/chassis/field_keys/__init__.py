"""Who holds the keys of field encryption: one backend a file."""
