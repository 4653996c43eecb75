"""What identity can do, one file for each thing it does."""
