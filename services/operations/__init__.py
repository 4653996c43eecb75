"""The desk of operators: jobs that failed for good, schedules, and operations that take long."""
