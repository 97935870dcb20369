"""A redis-server as a child process: for tests, benchmarks and local stacks."""
