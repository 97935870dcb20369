"""Bodies of webhooks, in any form in which they were logged."""
