"""The simulator: recorded conversations replayed against message queues, production code included, in simulated time."""
