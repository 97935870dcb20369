"""WhatsApp, in and out: one module for each provider."""
