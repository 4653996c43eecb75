"""What the operations and the backends need from outside, one file for each kind of need."""
