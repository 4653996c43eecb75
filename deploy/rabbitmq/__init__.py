"""RabbitMQ from Debian's package, run as our own child."""
