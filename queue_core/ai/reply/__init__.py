"""The way from an AI's raw answer to the text that the user sees: no JSON, no reasoning, no calls, no tokens.

`extract` is the entry. docs/answers.md has the rules in words.
"""

from queue_core.ai.reply.extract import ExtractedReply, extract

__all__ = ["ExtractedReply", "extract"]
