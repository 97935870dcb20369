"""Covers, which is all that may surround the text for the user: channels, reasoning, calls, steps, a fence, a tag."""

from __future__ import annotations

import re
from itertools import islice

import msgspec

from queue_core.ai.reply.absence import Absence
from queue_core.ai.reply.citations import without_citations
from queue_core.ai.reply.families import ANSWER_TAGS, CALL_LABELS
from queue_core.ai.reply.harmony import final_text
from queue_core.ai.reply.marks import without_marks
from queue_core.ai.reply.quoting import Code, Fence, begins_line, continues, end_of_signs, has_any
from queue_core.ai.reply.react import answer_in_code, final_answer
from queue_core.ai.reply.records import beside, without_records

CALL_CHARACTERS_MAX = 10_000
"""Limit on the length of a tool call without marks."""
TAGS_MAX = 100
"""Limit on tags around an answer, and on escaped tags, that are looked at."""
SIGNS_MAX = 10_000
"""Limit on angle brackets that are looked at for such tags."""

DETAILS_MAX = 20
"""Limit on folded texts that are looked at."""

_ANSWER_OPENS = re.compile(rf"<({'|'.join(ANSWER_TAGS)})>", re.IGNORECASE)
_ANSWERS_OPEN = re.compile(rf"(?:<(?:{'|'.join(ANSWER_TAGS)})>\s*)+", re.IGNORECASE)
_ANSWER_CLOSES = re.compile(rf"</(?:{'|'.join(ANSWER_TAGS)})>\Z", re.IGNORECASE)
_DETAILS = re.compile(
    r"<details(?:\s[^>]{0,40}?type=\"(?:reasoning|(?P<call>tool_calls|code_interpreter))\"[^>]{0,20000}+>"
    r"|[^>]{0,200}>\s{0,20}<summary>[^<]{0,200}(?:thinking|thought)[^<]{0,200}</summary>)",
    re.IGNORECASE,
)
_DETAILS_BEGIN = re.compile(r"<details", re.IGNORECASE)
_ESCAPED_TAG = re.compile(
    r"&lt;(/?(?:think|thinking|thought|reasoning|tool_call|function_calls?))&gt;", re.IGNORECASE
)
_ROLE_LINE = re.compile(r"(?:assistant|model|AI|assistant:)[^\S\n]{0,9}\n\s*(?=\S)")
_NAMED_THOUGHT = re.compile(r"thought(?:\s{0,3}(?:\[\]|\(\))|\s{0,3}\n|(?=[A-Z][a-z' ]))")
"""Name of Gemini's reasoning, whose mark is lost. The answer follows in the next line, or right after the name."""
_LOST_THOUGHT = re.compile(r"(?:\A|\n)(?:[^\w\n]{0,9}94>|[a-z]?\u115f)thought(?=\s|\Z)")
"""Beginning of Gemini's reasoning, whose mark `<ctrl94>` is damaged."""
_REASONING_LINES = re.compile(r"Reasoning:\n(?:_[^\n]{0,2000}_\s{0,9}(?:\n|\Z))+")
"""Reasoning as OpenClaw shows it, with each line in italics."""
_HANDED_BACK = re.compile(
    r"(?:Transferring back to|Successfully transferred (?:back )?to) (?=[\w-]{0,60}(?:supervisor|agent|_))"
    r"[\w-]{1,80}\.?"
)
"""Note of a LangGraph agent that hands the conversation back."""
_THOUGHTS = re.compile(r"Here(?:'s| is) my thought process:", re.IGNORECASE)
_RESPONSE = re.compile(r"Here(?:'s| is) my response:", re.IGNORECASE)
_TOOL_CODE_LINE = re.compile(
    r"^tool_code\n(?=print\(|default_api\.)|^(?:print\()?default_api\.\w{1,60}\(", re.MULTILINE
)
_DEFAULT_API = re.compile(r"\s{0,9}(?:print\()?default_api\.")
_AUTOGEN = ("TERMINATE", "TERMINATE.")
_OVER = re.compile(r"(?:(?<=[.!?…؟。*)])\s|\n|\A)\s{0,20}[*`]{0,2}TERMINATE\.?\Z")
"""Word with which agents of AutoGen end a conversation, if a sentence ends before it."""
_GIGACHAT_CALL = "function call<|role_sep|>"
_RECIPIENT = re.compile(r">>>(\w{1,60})\n")
_CODE_CALLS = re.compile(
    r"\[[A-Za-z_][\w.]{0,60}\(.{0,4000}\)\]|functools\[.{0,8000}\]|[a-z][a-z0-9]{1,30}_\w{2,60}(?:\n|\()\{\s{0,9}\".{0,4000}\}\)?",
    re.DOTALL,
)


class Uncovered(msgspec.Struct, frozen=True):
    """Text without one of its covers."""

    text: str
    absence: Absence = "call"
    """Reason to give if no text is left."""


def without_cover(text: str, code: Code) -> Uncovered | None:
    """Remove one cover from the text; returns None if there is none."""
    for cover in _COVERS:
        uncovered = cover(text, code)
        if uncovered is not None and uncovered.text.strip() != text:
            return msgspec.structs.replace(uncovered, text=uncovered.text.strip())
    return None


def _citations(text: str, code: Code) -> Uncovered:
    return Uncovered(without_citations(text, code), "tokens")


def _channels(text: str, code: Code) -> Uncovered | None:
    call = text.find(_GIGACHAT_CALL)
    if call >= 0 and begins_line(text, call) and not code.holds(call):
        return Uncovered(text[:call])
    final = final_text(text, code)
    return None if final is None else Uncovered(final, "call" if "to=" in text else "reasoning")


def _fences(text: str, code: Code) -> Uncovered | None:
    """Remove a fenced call, a Markdown fence around the whole text, or a first fence with reasoning or only marks."""
    for fence in code.fences:
        if fence.label in CALL_LABELS or _DEFAULT_API.match(text, fence.body_start):
            return Uncovered(f"{text[: fence.start]}{text[fence.end :]}".strip("\n"))
    if not code.fences or code.fences[0].start:
        return None
    first = code.fences[0]
    body = text[first.body_start : first.body_end]
    is_everything = not text[first.end :].strip()
    if is_everything and first.label in ("markdown", "md"):
        return Uncovered(body)
    return _hidden_fence(text, first, body)


def _hidden_fence(text: str, fence: Fence, body: str) -> Uncovered | None:
    if "<" not in body and "[" not in body and "◁" not in body:
        return None
    visible, removed = without_marks(body, Code(body))
    if visible and "reasoning" in removed and not text[fence.end :].strip():
        return Uncovered(visible)
    return Uncovered(text[fence.end :], _absence(removed)) if removed and not visible else None


def _marks(text: str, code: Code) -> Uncovered | None:
    visible, removed = without_marks(text, code)
    return Uncovered(visible, _absence(removed)) if removed else None


def _records(text: str, code: Code) -> Uncovered:
    return Uncovered(without_records(text, code))


def _absence(removed: frozenset[str]) -> Absence:
    if "call" in removed:
        return "call"
    return "reasoning" if "reasoning" in removed else "tokens"


def _agent(text: str, code: Code) -> Uncovered | None:
    if (in_code := answer_in_code(text)) is not None:
        return Uncovered(in_code)
    answer = final_answer(text, code)
    return None if answer is None else Uncovered(answer[0], "call" if answer[1] else "reasoning")


def _thought_process(text: str, code: Code) -> Uncovered | None:
    return _folded(text, code) or _lost_thought(text, code) or _named_reasoning(text) or _role(text)


def _lost_thought(text: str, code: Code) -> Uncovered | None:
    found = _LOST_THOUGHT.search(text) if has_any(text, "94>thought", "\u115fthought") else None
    return (
        Uncovered(text[: found.start()], "reasoning") if found and not code.holds(found.end() - 1) else None
    )


def _folded(text: str, code: Code) -> Uncovered | None:
    """Remove folded text with reasoning or a call, as Open WebUI and Dify write it."""
    parts, at, has_call = [], 0, False
    for begin in (
        islice(_DETAILS_BEGIN.finditer(text), DETAILS_MAX) if has_any(text, "<details", "<DETAILS") else ()
    ):
        opened = _DETAILS.match(text, begin.start()) if begin.start() >= at else None
        if opened and not code.holds(opened.start()):
            parts.append(text[at : opened.start()])
            has_call = has_call or opened["call"] is not None
            end = text.find("</details>", opened.end())
            at = end + len("</details>") if end >= 0 else len(text)
    return Uncovered(beside(*parts, text[at:]), "call" if has_call else "reasoning") if parts else None


def _named_reasoning(text: str) -> Uncovered | None:
    """Remove reasoning that words name, as Granite 3 and OpenClaw show it, and the name alone, as Gemini leaves it."""
    if named := _NAMED_THOUGHT.match(text):
        return None if continues(text, named.end()) else Uncovered(text[named.end() :], "reasoning")
    if lines := _REASONING_LINES.match(text):
        return Uncovered(text[lines.end() :], "reasoning")
    if thoughts := _THOUGHTS.match(text):
        response = _RESPONSE.search(text, thoughts.end())
        return Uncovered(text[response.end() :] if response else "", "reasoning")
    return None


def _role(text: str) -> Uncovered | None:
    """Remove escapes of tags, a recipient or role above the answer, and the word that ends a conversation."""
    if _ESCAPED_TAG.match(text):
        return Uncovered(_ESCAPED_TAG.sub(r"<\1>", text, count=TAGS_MAX))
    if recipient := _RECIPIENT.match(text):  # Functionary
        return Uncovered(text[recipient.end() :] if recipient[1] == "all" else "", "call")
    if text.endswith(_AUTOGEN) and (over := _OVER.search(text, max(0, len(text) - 50))):
        return Uncovered(text[: over.start()], "tokens")
    role = _ROLE_LINE.match(text)
    return Uncovered(text[role.end() :]) if role else None


def _answer_tag(text: str, code: Code) -> Uncovered | None:
    """Take the text out of `<answer>…</answer>`, if these tags end the answer; one of them may be missing."""
    closed = _ANSWER_CLOSES.match(text, text.rfind("</")) if text.endswith(">") else None
    if closed is None or code.holds(closed.start()):
        opened = _ANSWER_OPENS.match(text)
        is_cut = opened is not None and f"</{opened[1]}>" not in text and not continues(text, opened.end())
        all_opened = _ANSWERS_OPEN.match(text) if is_cut else None
        return Uncovered(text[all_opened.end() :], "empty") if all_opened else None
    last = end_of_signs(text, SIGNS_MAX, "<")
    for opening in islice(_ANSWER_OPENS.finditer(text, 0, last), TAGS_MAX):
        closing = f"</{opening[1]}>"
        if code.holds(opening.start()) or not begins_line(text, opening.start()):
            continue
        if closed[0].lower() == closing.lower():
            return Uncovered(text[opening.end() : closed.start()], "empty")
    is_word = text[closed.start() - 1 : closed.start()] in (" ", "(") and not begins_line(
        text, closed.start()
    )
    return None if is_word or _ANSWER_OPENS.search(text, 0, last) else Uncovered(text[: closed.start()])


def _calls(text: str, code: Code) -> Uncovered | None:
    """Remove tool calls that are written as code, without marks."""
    if len(text) < CALL_CHARACTERS_MAX and _CODE_CALLS.fullmatch(text):
        return Uncovered("")
    if len(text) < CALL_CHARACTERS_MAX and _HANDED_BACK.fullmatch(text):
        return Uncovered("")
    line = (
        _TOOL_CODE_LINE.search(text)
        if "_" in text and ("tool_code" in text or "default_api" in text)
        else None
    )
    return Uncovered(text[: line.start()]) if line and not code.holds(line.start()) else None


_COVERS = (_channels, _fences, _marks, _records, _agent, _thought_process, _answer_tag, _calls, _citations)
"""Functions that remove one cover each, in the order in which they are tried."""
