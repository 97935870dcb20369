"""Channels of harmony, the format of gpt-oss. Only `final`, and `commentary` without a recipient, is for the user.

A message is `<|start|>ROLE<|channel|>NAME[ to=RECIPIENT][<|constrain|>TYPE]<|message|>TEXT`. It ends with `<|end|>`,
`<|return|>` or `<|call|>` (openai/harmony, docs/format.md). Servers that drop the tokens leave
"analysis…assistantfinal…".
"""

from __future__ import annotations

import re
from itertools import islice

from queue_core.ai.reply.quoting import Code, end_of_signs, is_in_phrase, is_quoted

MESSAGES_MAX = 500
"""Limit on messages that are looked at."""
TOKENS_MAX = 5_000
"""Limit on tokens that are looked at."""

_HEADER = re.compile(  # a literal at its beginning makes the search fast
    r"<\|(?:(?:start\|>(?P<role>[^<\n]{0,100})<\|)?channel\|>\s?(?:(?P<name>[a-z]{1,20})(?P<rest>[^<\n]{0,200})"
    r"(?:<\|constrain\|>[^<\n]{0,50})?<\|message\|>|(?P<cut_name>analysis|commentary|final)(?=\n|\Z|[A-Z]))"
    r"|start\|>(?P<bare_role>assistant[^<\n]{0,100})<\|message\|>)"
)
_END = re.compile(r"<\|(?:end|return|call|start|channel)\|>")
_MESSAGE_TO = r"\s?(?:commentary|analysis) to=[\w.]{1,80}"
_STRIPPED_CALL = re.compile(
    rf"assistant{_MESSAGE_TO}|【{_MESSAGE_TO}|to=(?<!\wto=)(?:functions|multi_tool_use)\.\w{{1,80}}[^{{}}\n]{{0,60}}\s{{0,9}}\{{"
)
_BEGINS_WITH_CALL = re.compile(_MESSAGE_TO)
_CALL_BEGINS = ("commentary to=", "analysis to=", "to=functions.", "to=multi_tool_use.")
"""Beginnings of calls. A text without any of them has no call, which is quick to check."""
_STRIPPED_START = re.compile(r"analysis(?=[A-Z\"'“*(\d])")
_STRIPPED_FINAL = "assistantfinal"


def final_text(text: str, code: Code) -> str | None:
    """Return the text for the user in harmony's channels; None if the text has no channels."""
    if "|" in text and ("<|channel|>" in text or "<|message|>" in text):
        return _final_of_tokens(text, code)
    if "=" in text and any(begin in text for begin in _CALL_BEGINS):
        if _BEGINS_WITH_CALL.match(text):
            return ""
        call = _STRIPPED_CALL.search(text)
        if call and not code.holds(call.start()):
            return text[: call.start()]
    if _STRIPPED_START.match(text):
        at = text.rfind(_STRIPPED_FINAL)
        return text[at + len(_STRIPPED_FINAL) :] if at >= 0 else ""
    return None


def _is_text(text: str, start: int, code: Code) -> bool:
    end = text.index("|>", start) + 2
    return code.holds(start) or is_quoted(text, start, end) or is_in_phrase(text, start, end)


def _final_of_tokens(text: str, code: Code) -> str | None:
    found = _HEADER.finditer(text, 0, end_of_signs(text, TOKENS_MAX, "<|"))
    headers = [header for header in islice(found, MESSAGES_MAX) if not _is_text(text, header.start(), code)]
    if not headers:
        return None
    finals, preambles = [], [text[: headers[0].start()]]
    for header in headers:
        end = _END.search(text, header.end())
        body = text[header.end() : end.start() if end else len(text)].strip()
        is_call = " to=" in f"{header['role'] or header['bare_role'] or ''} {header['rest'] or ''}"
        name = "final" if header["bare_role"] else header["name"] or header["cut_name"]
        if name == "final" and body:
            finals.append(body)
        elif name == "commentary" and not is_call:
            preambles.append(body)
    return (
        "\n".join(dict.fromkeys(finals)) if finals else "\n".join(part for part in preambles if part.strip())
    )
