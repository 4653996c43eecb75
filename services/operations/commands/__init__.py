"""The commands of operators: `parley dead-letters` and `parley schedules`, over gRPC through the edge."""
