"""The way from an AI's raw answer to the text that the user sees: no JSON, no reasoning, no calls, no tokens.

`extract` is the entry. docs/answers.md has the rules in words.
"""

from queue_core.ai.reply.absence import WORDS as ABSENCE_WORDS
from queue_core.ai.reply.absence import Absence, absence_of_body
from queue_core.ai.reply.extract import ExtractedReply, extract

__all__ = ["ABSENCE_WORDS", "Absence", "ExtractedReply", "absence_of_body", "extract"]
