"""Words: the language of a page, and numbers and codes in words for people."""
