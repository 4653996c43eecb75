"""How Parley is run: Envoy's configuration and the launchers."""
