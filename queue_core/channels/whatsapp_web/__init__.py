"""Messages as WhatsApp Web has them: what the Evolution API, Evolution Go and WAHA pass on of them."""
