"""Sentences of results in the language of the page."""


def translated_prose(text: str) -> str:
    """The sentence as it is."""
    return text
