"""Messaging providers: webhooks in, replies out, a folder for each provider."""
