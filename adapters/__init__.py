"""The faces that Parley shows to frontends."""
