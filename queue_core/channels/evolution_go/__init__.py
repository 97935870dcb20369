"""Evolution Go."""
