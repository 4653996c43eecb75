"""What operators can do, and what runs by itself."""
