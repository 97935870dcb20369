"""Removal of the marks that models emit, with the reasoning and calls between them. `families.py` has the table."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from itertools import islice

import msgspec

from queue_core.ai.loose_json import read_clean
from queue_core.ai.reply.families import (
    CALLS_OF_TOKENS,
    CLOSERS,
    REASONING_CLOSERS,
    ROLES,
    ROLES_OF_TURNS,
    Role,
)
from queue_core.ai.reply.quoting import (
    CLOSING_QUOTES,
    Code,
    begins_line,
    continues,
    end_of_signs,
    is_in_phrase,
    is_quoted,
)

MARKS_MAX = 500
"""Limit on marks that are looked at; the text after the last one stays as it is."""
SIGNS_MAX = 6_000
"""Limit on brackets that are looked at; after the last one no text counts as a mark."""


def _names(*roles: Role) -> set[str]:
    """Return the names of all tags, or of those with these roles."""
    tags = (key for key, role in ROLES.items() if role in roles or not roles)
    return {key[1:-1].removeprefix("/") for key in tags if re.fullmatch(r"</?[a-z][\w:]*>", key)}


def _tags(names: set[str]) -> str:
    """Return a pattern for names of tags, grouped by their first letters, which makes the search fast."""
    groups: dict[str, list[str]] = {}
    for name in sorted(names):
        groups.setdefault(name[:1], []).append(name[1:])
    return "|".join(f"{first}(?:{'|'.join(rest)})" for first, rest in groups.items())


_SPACED = _tags(_names("reasoning", "call"))
"""Tags that may have a prefix, such as `<ifm|think>` and `<atem:function_calls>`."""
_MARK = re.compile(
    r"<(?!/?(?:[biupa]|br|li|em|td|tr)>)"  # HTML has so many of these that they must cost nothing
    r"(?:(?=/?\s?[|｜‖])(?:(?P<dsml>/?)\s?[|｜‖]{1,2}\s?[A-Z]{2}ML\s?[|｜‖]{1,2}\s?(?P<dsml_name>\w{1,40}+)[^<>]{0,300}+(?:>|\Z)"
    r"|\|(?P<kimi>open|close)\|>\s?(?P<kimi_name>[a-z_]{1,40}+)[^<>\n]{0,300}+<\|sep\|>"
    r"|[|｜‖]{1,2}(?P<token>\s?[\w/\"][\w▁.:/ -]{0,60}+)[|｜‖]{1,2}>|\|[a-z_]{2,40}+>)|[a-z_]{2,40}+\|>"
    r"|(?P<named>/?(?:function|invoke|parameter|tool))(?P<assigned>=|\s{1,9}name\s{0,9}=|(?<=tool):\s?)[^<>\n]{0,200}>?"
    rf"|(?://|\\)(?P<damaged>(?i:{_tags(_names('reasoning'))}))>"
    rf"|(?P<tag>/?(?i:{_tags(_names())}|unused\d{{1,5}}))(?P<suffix>:[0-9a-z]{{4,12}})?(?:\s[^<>]{{0,200}}+)?>"
    rf"|(?P<slash>/?)[a-z]{{2,12}}+[:|](?P<spaced>{_SPACED}|invoke|parameter)(?:\s[^<>]{{0,200}}+)?>)"
    r"|\[(?:/?(?:[A-Z_]{3,30}|think|gMASK)|\|[A-Za-z_]{2,20}\|)\]|◁/?[a-z_]{1,30}▷|\]<\]minimax\[>\[|\[e~\["
)
LOOP_MIN = 200
"""Number of equal tokens in a row which shows that the model was caught in a loop. They count as one token."""
LOOP_SAMPLE, LOOP_ROW = 1_000, 20
"""Distance of the places where a loop is looked for, and number of equal tokens in a row that show one there. None is
missed, since the shortest loop has 1,200 characters."""
TOKEN_MAX = 50
"""Length of the longest token of a loop, with what stands before the next one."""
_TOKEN, _AGAIN = r"(<\|[a-z_]{2,40}\|>)", r"(?:(?:\n\n| |\n)?\1)"
_ROW = re.compile(f"{_TOKEN}{_AGAIN}{{{LOOP_ROW - 1}}}")
_LOOP = re.compile(f"{_TOKEN}{_AGAIN}{{{LOOP_ROW - 1},}}")
_UNKNOWN = re.compile(r"<\|/?\w[\w:-]{0,59}\|>")
_BEGIN = re.compile(r"(?<![a-z])(?:begin|start)(?![a-z])")
_UNKNOWN_OPENING = re.compile(
    rf"<\|(?=[\w:]{{0,60}}?(?:(?P<call>tool|function|call)|think|thought|reason))[\w:]{{0,60}}?{_BEGIN.pattern}[\w:]{{0,60}}\|>"
)
"""Token that is not in the table, and whose name says that it opens a call or reasoning."""
_CUT_TOKEN = re.compile(r"(?<=\S)<[|｜‖]{1,2}/?[\w▁]{0,40}[|｜]?\Z")
_NUMBERED = re.compile(r"<(?:ctrl|unused)\d{1,5}>")
_CTRL = re.compile(r"<ctrl\d{1,3}>")
_ROLE = re.compile(
    rf"\s{{0,3}}(?:(?:assistant|model|user|system|tool)\b|(?:{ROLES_OF_TURNS})(?=[^\S\n]{{0,9}}(?:\n|<|\Z)))?",
    re.IGNORECASE,
)
_HEADER_OF_CALL = re.compile(r"[\w.]{1,80}(?=<\|content_invoke_tool)")
_SENTENCE_INSIDE = re.compile(r"[.!?…؟。]\s*(?:\Z|\s)|\n")
_PAYLOAD = re.compile(r"\s{0,9}(?:[{\[<]|(?:call:)?[\w.]{1,80}(?:\s{0,9}[{(\[<]|:\d|\n|\Z))")
_DOTS = re.compile(r"[\s.…]*\Z")
_AFTER_CTRL = re.compile(r"[\]},\s]*")
_NAME_OF_CALL = re.compile(r"(?<![\w.-])[\w.-]{1,80}:\d{1,3}\s?\Z")
_BEFORE_MARK = 100
"""Limit on the length of what belongs to a mark and stands before it."""
_TAG_BEFORE = re.compile(r"<\w{1,40}\Z")
_STRAY_WORD = re.compile(r"(?:\A|\n)\s{0,9}(?:court|count|call)\s{0,9}\Z")
"""Word that Claude writes in place of the first tag of a call."""
_DAMAGED_OPENING = re.compile(
    r"(?:\A|\n)\s{0,9}<(?:tool_|function_)?(?:name|tool|function|invoke)>[^<>\n]{0,80}\s{0,9}\Z"
)
"""First tag of a call that the model spelled wrongly, with the name of the tool."""


class Mark(msgspec.Struct, frozen=True):
    """Mark in a text."""

    start: int
    end: int
    key: str
    role: Role
    is_text: bool
    """True in code, and where a sentence speaks about the mark."""


def without_marks(text: str, code: Code) -> tuple[str, frozenset[str]]:
    """Return the text without marks, reasoning and calls, and what was removed: "reasoning", "call", "token"."""
    removed: set[str] = set()
    if "<" not in text and "[" not in text and "◁" not in text:
        return text, frozenset()
    if text.find("<ctrl", 0, _end_of_marks(text)) >= 0:
        text, code = _without_ctrl(text, code, removed)
    if _may_loop(text) and (shorter := _LOOP.sub(_once, text)) != text:
        text, code = shorter, Code(shorter)
    cut = _CUT_TOKEN.search(text, max(0, len(text) - 50))
    if cut is not None and not code.holds(cut.start()):
        text = text[: cut.start()]
        before = text.rstrip("<|")
        if text[len(before) :] == "<|" * ((len(text) - len(before)) // 2):  # the model was caught in a loop
            text = before
        removed.add("token")
    marks = list(_marks(text, code))
    if not marks:
        return text, frozenset(removed)
    stripper = _Stripper(text, marks)
    return stripper.run(), frozenset(removed | stripper.removed)


def _end_of_marks(text: str) -> int:
    return end_of_signs(text, SIGNS_MAX, "<", "[", "◁")


def _may_loop(text: str) -> bool:
    """Return False, quickly, for nearly all texts without a token that stands many times in a row."""
    if len(text) < LOOP_SAMPLE or "<|" not in text:
        return False
    starts = (text.find("<|", at, at + TOKEN_MAX) for at in range(0, len(text), LOOP_SAMPLE))
    return any(start >= 0 and _ROW.match(text, start) for start in starts)


def _once(row: re.Match[str]) -> str:
    """Return the token of a row once if the row is a loop; else the row as it is."""
    return row[1] if row[0].count(row[1]) >= LOOP_MIN else row[0]


def _marks(text: str, code: Code) -> Iterator[Mark]:
    count = struck = 0
    last = _end_of_marks(text)
    for match in _MARK.finditer(text, 0, last):
        key = _key(match)
        role = ROLES.get(key)
        if match.end() == last < len(text) and match["dsml_name"]:
            return  # only the limit cuts it off
        if role is None and match["dsml_name"]:
            role = "close" if match["dsml"] else "call"
        elif role is None and (opening := _UNKNOWN_OPENING.fullmatch(key)):
            role = "call" if opening["call"] else "reasoning"
        elif role is None and (_UNKNOWN.fullmatch(match[0]) or _NUMBERED.fullmatch(key)):
            role = "token"
        if role is None:
            continue
        count += 1
        if count > MARKS_MAX:
            return
        start, end = match.span()
        is_text = code.holds(start) or is_quoted(text, start, end) or _is_in_phrase(text, start, end, role)
        if key == "<s>" and start and text[start - 1] != ">":  # HTML's strikethrough
            is_text, struck = True, struck + 1
        elif key == "</s>" and struck:
            is_text, struck = True, struck - 1
        yield Mark(start, end, key, role, is_text)


def _is_in_phrase(text: str, start: int, end: int, role: Role) -> bool:
    """Return True for a token in a quoted phrase, and for a tag at the phrase's end, where it opens nothing."""
    if role not in ("token", "end", "turn") and text[end : end + 1] not in CLOSING_QUOTES:
        return False
    return is_in_phrase(text, start, end)


def _key(match: re.Match[str]) -> str:
    """Return the plain form of a mark, as the table has it."""
    if name := match["tag"] or match["spaced"] or match["damaged"]:
        is_inside = match["spaced"] in ("invoke", "parameter")  # with a prefix, they open a call of their own
        slash = "/" if match["damaged"] else match["slash"] or ""
        return f"<{slash}{'tool_call' if is_inside else name.lower()}>"
    if match["token"]:
        return f"<|{match['token'].replace('▁', ' ').strip().replace(' ', '_').lower()}|>"
    if match["dsml_name"]:
        return f"<{match['dsml']}dsml:{match['dsml_name'].lower()}>"
    if match["kimi_name"]:
        return f"<{'/' if match['kimi'] == 'close' else ''}open:{match['kimi_name']}>"
    if match["named"]:
        return f"<{match['named']}{'=' if match['assigned'] == '=' else ' name='}>"
    return match[0].lower()


def _without_ctrl(text: str, code: Code, removed: set[str]) -> tuple[str, Code]:
    """Remove the text between Gemini's numbered tokens: pieces of calls, of their results, and of reasoning."""
    tokens = [
        token
        for token in islice(_CTRL.finditer(text), MARKS_MAX)
        if not code.holds(token.start())
        and not is_quoted(text, *token.span())
        and not is_in_phrase(text, *token.span())
    ]
    if not tokens:
        return text, code
    removed.add("call" if len(tokens) > 1 else "token")
    before, after = text[: tokens[0].start()], text[tokens[-1].end() :]
    if tokens[-1][0] in ("<ctrl42>", "<ctrl94>"):  # opens a call or reasoning that does not end
        after = ""
    elif len(tokens) > 1 or after[:1] in "]},":
        rest = _AFTER_CTRL.match(after)
        after = after[rest.end() :] if rest else after
    kept = before + after
    return kept, Code(kept)


class _Stripper:
    """Reader that goes through the marks of a text once, from the first to the last."""

    def __init__(self, text: str, marks: list[Mark]) -> None:
        self._text = text
        self._marks = marks
        self._visible_end = len(text.rstrip())
        self._kept: list[str] = []
        self._at = 0
        self._is_visible = False
        self._is_over = False
        self.removed: set[str] = set()
        self._plain: dict[str, list[int]] = {}
        self._any: dict[str, list[int]] = {}
        for mark in marks:
            self._any.setdefault(mark.key, []).append(mark.start)
            if not mark.is_text:
                self._plain.setdefault(mark.key, []).append(mark.start)
        self._by_start = {mark.start: mark for mark in marks}

    def run(self) -> str:
        for mark in self._marks:
            if self._is_over:
                break
            if mark.start >= self._at and not mark.is_text:
                self._read(mark)
        if not self._is_over:
            self._keep(len(self._text))
        return _joined(self._kept)

    def _read(self, mark: Mark) -> None:
        match mark.role:
            case "reasoning" | "weak reasoning":
                self._reasoning(mark)
            case "call":
                self._call(mark)
            case "answer":
                self._keep(mark.start)
                self._drop_all("reasoning", mark.end)
            case "end":
                self._end(mark)
            case "turn":
                self._turn(mark)
            case "close":
                self._close(mark)
            case "token":
                self._token(mark)

    def _keep(self, end: int) -> None:
        part = self._text[self._at : end]
        self._kept.append(part)
        self._is_visible = self._is_visible or bool(part.strip())
        self._at = end

    def _drop(self, mark: Mark, end: int, what: str) -> None:
        self._keep(mark.start)
        self._at = end
        self.removed.add(what)

    def _drop_all(self, what: str, end: int) -> None:
        self._kept.clear()
        self._is_visible = False
        self._at = end
        self.removed.add(what)

    def _closer(self, mark: Mark) -> Mark | None:
        """Return the next mark that closes this one; prefers marks that are neither code nor a word of a sentence."""
        keys = CLOSERS.get(mark.key) or frozenset((_BEGIN.sub("end", mark.key).replace("<dsml", "</dsml"),))
        closer = self._next(self._plain, keys, mark.start)
        if closer is None and mark.role == "reasoning":  # models mix the names of their tags
            closer = self._next(self._plain, REASONING_CLOSERS, mark.start)
        return closer or self._next(self._any, keys, mark.start)

    def _next(self, starts: dict[str, list[int]], keys: frozenset[str], after: int) -> Mark | None:
        found = [
            positions[index]
            for key in keys & starts.keys()
            if (index := bisect_right(positions := starts[key], after)) < len(positions)
        ]
        return self._by_start[min(found)] if found else None

    def _reasoning(self, mark: Mark) -> None:
        closer = self._closer(mark)
        if mark.role == "weak reasoning":
            is_first = not self._is_visible and not self._text[self._at : mark.start].strip()
            if not is_first or closer is None or closer.end >= self._visible_end:
                return
        elif self._is_spoken_of(mark, closer):
            return
        self._drop(mark, closer.end if closer else len(self._text), "reasoning")

    def _is_spoken_of(self, mark: Mark, closer: Mark | None) -> bool:
        """Return True if a sentence speaks about this tag, or about the pair."""
        text = self._text
        if closer is None or closer.is_text:
            return continues(text, mark.end)
        inside = text[mark.end : closer.start]
        if _DOTS.match(inside):
            return bool(inside.strip()) or not begins_line(text, mark.start)
        if not continues(text, closer.end):
            return False
        if continues(text, mark.end) and inside[:1] in ":,;":
            return True
        is_word = text[mark.start - 1 : mark.start] in (" ", "(") and not begins_line(text, mark.start)
        return is_word and not _SENTENCE_INSIDE.search(inside)

    def _call(self, mark: Mark) -> None:
        closer = self._closer(mark)
        if closer is None and self._is_spoken_of(mark, None):
            return
        is_inside = self._text[mark.start - 1 : mark.start] == " " and not begins_line(self._text, mark.start)
        if closer is None and is_inside and not _PAYLOAD.match(self._text, mark.end):
            return
        self._drop(mark, closer.end if closer else self._end_of_payload(mark.end), "call")
        if mark.key == "<invoke name=>":
            self._drop_before(_STRAY_WORD)

    def _token(self, mark: Mark) -> None:
        """Remove a token; those of a call whose beginning is missing take the call with them."""
        closers = CALLS_OF_TOKENS.get(mark.key, frozenset())
        is_in_tag = _TAG_BEFORE.search(self._text, max(0, mark.start - _BEFORE_MARK), mark.start)
        closer = None if is_in_tag else self._next(self._plain, closers, mark.start)
        self._drop(mark, closer.end if closer else mark.end, "call" if closer else "token")
        if closer and mark.key == "<|tool_call_argument_begin|>":
            self._drop_before(_NAME_OF_CALL)

    def _drop_before(self, pattern: re.Pattern[str]) -> None:
        """Remove what belongs to a mark at the end of the text before it."""
        part = self._kept[-1]
        found = pattern.search(part, max(0, len(part) - _BEFORE_MARK))
        self._kept[-1] = part[: found.start()] if found else part

    def _end_of_payload(self, start: int) -> int:
        """Return the index after the JSON of a call without a closing mark; without JSON, the end of the text."""
        text = self._text
        while start < len(text) and text[start].isspace():
            start += 1
        value = read_clean(text, start)
        return value.end if value is not None else len(text)

    def _end(self, mark: Mark) -> None:
        self._drop(mark, mark.end, "token")
        self._is_over = self._is_visible

    def _turn(self, mark: Mark) -> None:
        if mark.key == "[inst]" and continues(self._text, mark.end) and "[/inst]" not in self._plain:
            return
        self._drop(mark, mark.end, "token")
        if self._is_visible:
            self._is_over = True
            return
        if mark.key == "<|message_model|>" and (header := _HEADER_OF_CALL.match(self._text, mark.end)):
            self._at = header.end()
            return
        role = _ROLE.match(self._text, mark.end)
        self._at = role.end() if role else mark.end
        name = f"{mark.key} {role[0] if role else ''} {self._text[self._at : self._at + 15]}".lower()
        if re.search(
            r"user|human|system|tool|ipython|function|observation|^\S+ assistant /think", name.split("\n")[0]
        ):
            self._at = self._next_turn(mark)

    def _next_turn(self, mark: Mark) -> int:
        """Return the index of the mark that ends this turn, which is not the assistant's, or begins the next one."""
        index = bisect_right(self._marks, mark.start, key=lambda item: item.start)
        following = (item.start for item in self._marks[index : index + 20] if item.role in ("end", "turn"))
        return next(following, len(self._text))

    def _close(self, mark: Mark) -> None:
        text = self._text
        if mark.key not in REASONING_CLOSERS:
            if mark.key.startswith(
                ("</tool", "</function", "</invoke", "</param", "<|", "</dsml", "</open", "[/")
            ):
                self._drop(mark, mark.end, "token")
                self._drop_before(_DAMAGED_OPENING)
            return
        is_last = mark.end >= self._visible_end
        if continues(text, mark.end) or (is_last and not begins_line(text, mark.start)):
            return
        self._drop_all("reasoning", mark.end)


def _joined(parts: list[str]) -> str:
    """Join the parts around removed text, with the space that stood there, but without extra blank lines."""
    kept: list[str] = []
    spaces: list[str] = []
    for part in parts:
        rest = part.lstrip()
        body = rest.rstrip()
        spaces.append(part[: len(part) - len(rest)])
        if body:
            lines = min(max(space.count("\n") for space in spaces), 2)
            kept += ["\n" * lines or "".join(spaces)[:1], body]
            spaces = [rest[len(body) :]]
    return "".join(kept).strip()
