"""The Envoy configuration: one process, an edge listener for the world and a mesh listener for the services."""
