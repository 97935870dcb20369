"""Local stack of Redis, web process, workers and sink as child processes, and the faults that strike them."""
