"""What can be done with bots, applications and prompts."""
