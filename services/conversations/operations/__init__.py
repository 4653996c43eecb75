"""What this service does, one capability a file. Operations own their transactions."""
