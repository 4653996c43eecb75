"""What is decided without asking anybody. Nothing here waits, reads a clock or makes an id."""
