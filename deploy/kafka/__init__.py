"""Kafka from Maven Central, run as our own child: a broker that is its own controller."""
