"""Extraction of the text for the user from an AI's raw answer, without JSON, reasoning, tool calls and tokens.

The entry is `extract`. docs/answers.md states the rules.
"""

from queue_core.ai.reply.absence import WORDS as ABSENCE_WORDS
from queue_core.ai.reply.absence import Absence, absence_of_body
from queue_core.ai.reply.extract import ExtractedReply, extract

__all__ = ["ABSENCE_WORDS", "Absence", "ExtractedReply", "absence_of_body", "extract"]
