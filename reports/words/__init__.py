"""Words: the language of a page, and numbers and codes as people read them."""
