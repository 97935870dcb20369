"""The simulator: recordings replayed against message queues, production code included, in simulated time."""

import logging

# The result of a replay reports what the queue warns about, so its warnings are not shown on the terminal.
logging.getLogger("queue_core").addHandler(logging.NullHandler())
