"""What can be done with tools and their calls."""
