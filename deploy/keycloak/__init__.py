"""Keycloak: fetched, built and started for the full stack, and its realm, kept as it is written down here."""
