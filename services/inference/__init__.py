"""Asks language models and tells how they are."""
