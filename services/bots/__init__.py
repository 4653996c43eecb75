"""Bots, the applications they answer in, and the versioned prompts that they are told."""
