"""Bodies of webhooks, however they were logged."""
