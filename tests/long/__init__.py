"""What takes minutes or a quiet machine: `make test-long`."""
