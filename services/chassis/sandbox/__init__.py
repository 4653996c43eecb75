"""Work on bytes of strangers in child processes that may die."""
