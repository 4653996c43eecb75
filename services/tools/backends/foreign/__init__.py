"""Reads bytes of strangers. Runs in the sandbox's children: it imports little, and nothing of the service."""
