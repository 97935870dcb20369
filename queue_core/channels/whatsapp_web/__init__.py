"""Messages of WhatsApp Web, as the Evolution API, Evolution Go and WAHA pass them on."""
