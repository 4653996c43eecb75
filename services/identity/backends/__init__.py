"""The parts behind the ports, one a file."""
