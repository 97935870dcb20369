"""Sink, which plays the AI and WhatsApp and remembers all requests."""
