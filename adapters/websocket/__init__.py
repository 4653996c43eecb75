"""A WebSocket face for the mesh that speaks the Centrifuge client protocol."""
