"""Errors that commands report in one line."""

from __future__ import annotations


class InputError(Exception):
    """Raised for input or options that cannot be used; the message says which and why."""
