"""The simulator: recordings replayed against message queues, production code included, in simulated time."""

import logging

# What the queue warns of in a replay is an outcome, and stands in the result; it is no news for the terminal.
logging.getLogger("queue_core").addHandler(logging.NullHandler())
