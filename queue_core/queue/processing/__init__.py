"""Workers: a processor claims turns, and an attempt has each one answered."""
