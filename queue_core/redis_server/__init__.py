"""A redis-server as a child process: for `serve`, for `redis`, for tests and benchmarks."""
