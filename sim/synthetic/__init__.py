"""Made-up recordings, drawn from figures of how people really write."""
