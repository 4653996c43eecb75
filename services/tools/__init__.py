"""Tools: what models may ask to be done, the calls of them, and the people who approve these."""
