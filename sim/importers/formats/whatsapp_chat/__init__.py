"""WhatsApp's "export chat": text files of one chat, as phones with iOS or Android write them."""
