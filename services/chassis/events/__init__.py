"""Events for whoever listens: published from an outbox, taken by groups of subscribers, over a bus of choice."""
