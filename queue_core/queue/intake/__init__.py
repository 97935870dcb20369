"""The way in of a web process, also while Redis is away."""
