"""Answers of ReAct agents in prose, with labelled lines: "Thought: …", "Action: …", "Final Answer: …"."""

from __future__ import annotations

import re
from itertools import islice

from queue_core.ai.loose_json import unescaped
from queue_core.ai.reply.quoting import Code, end_of_signs
from queue_core.message import well_formed

LABELS_MAX = 1_000
"""Limit on labels that are looked at."""
LINES_MAX = 20_000
"""Limit on lines that are looked at."""

_THOUGHTS = ("thought", "pensamiento", "pensamento")
_ACTIONS = ("action", "acción", "ação")
_OBSERVATIONS = ("observation", "observación", "observação")
_FINAL = (
    r"final ?answer|final ?response|respuesta final|resposta final|réponse finale|risposta finale|الإجابة النهائية"
    r"|الاجابة النهائية|الجواب النهائي|最终答案|最終回答"
)
_STEP = f"{'|'.join(_THOUGHTS)}|action input|{'|'.join(_ACTIONS)}|{'|'.join(_OBSERVATIONS)}|question"
_LABEL = re.compile(
    rf"\n[ \t>*#_]{{0,6}}+(?=[fratpoqا最])(?:(?P<final>{_FINAL})|(?P<answer>answer|ai|response)|(?P<step>{_STEP}))"
    r" ?[*_]{0,2}[:：][*_]{0,2}[ \t]?",
    re.IGNORECASE,
)

_CODE_OF_AGENT = re.compile(
    r"Thoughts?:[^\n]{0,4000}+(?:\n(?!Code:|<code>)[^\n]{0,4000}+){0,40}\n(?:Code:\s{0,3}```|<code>)"
)
_FINAL_CALL = re.compile(
    r"\nfinal_answer\(\s{0,9}(?:answer\s?=\s?)?(?:\"\"\"(?P<text>[^\"\\]*+(?:(?:\\.|\"(?!\"\"))[^\"\\]*+)*)\"\"\""
    r"|\"(?P<line>[^\"\\\n]*+(?:\\.[^\"\\\n]*+)*)\"|'(?P<single>[^'\\\n]*+(?:\\.[^'\\\n]*+)*)')\s{0,9}\)",
    re.DOTALL,
)
"""Answer of an agent of smolagents, which writes code."""
_CALLS = re.compile(r"```(?:json)?\s{0,9}[\[{]\s{0,9}[\[{\"]")
_NAMES_TOOL = re.compile(r"[\w.-]{1,80}\s?[\[({]|\w{1,40}[_.]\w")
"""Action that is a call, such as `search[hours]`, or the name of a tool in a program, such as `get_hours`."""
_FINAL_ACTION = re.compile(r"\"action\"\s{0,9}:\s{0,9}\"final", re.IGNORECASE)


def answer_in_code(text: str) -> str | None:
    """Return the answer of an agent that thinks and then writes code, "" for another call; None for any other text."""
    if not _CODE_OF_AGENT.match(text):
        return None
    final = _FINAL_CALL.search(text)
    return well_formed(unescaped(final["text"] or final["line"] or final["single"] or "")) if final else ""


def final_answer(text: str, code: Code) -> tuple[str, bool] | None:
    """Return an agent's answer, and True if it calls a tool instead; None if the text is not from an agent."""
    if ":" not in text and "：" not in text:
        return None
    text = f"\n{text}"
    found = _LABEL.finditer(text, 0, end_of_signs(text, LINES_MAX, "\n"))
    labels = [label for label in islice(found, LABELS_MAX) if not code.holds(label.start())]
    if not labels:
        return None
    steps = {_step(label) for label in labels} - {""}
    before = text[: labels[0].start()].strip()
    finals = [index for index, label in enumerate(labels) if label["final"]]
    if finals and (steps - {"question"} or (not before and finals[0] == 0)):
        return _segment(text, labels, finals[-1]), False
    thinks = _step(labels[0]) in _THOUGHTS and not before
    answers = [index for index, label in enumerate(labels) if label["answer"]]
    if thinks and answers:
        return _segment(text, labels, answers[-1]), False
    actions = [index for index, label in enumerate(labels) if _step(label) in _ACTIONS]
    action = _segment(text, labels, actions[-1]) if actions else ""
    is_call = _CALLS.match(action) or (_NAMES_TOOL.match(action) and not steps.isdisjoint(_OBSERVATIONS))
    if not actions or not (thinks or "action input" in steps or is_call):
        return None
    return (action, False) if _FINAL_ACTION.search(action, 0, 500) else (before, True)


def _step(label: re.Match[str]) -> str:
    return (label["step"] or "").lower()


def _segment(text: str, labels: list[re.Match[str]], index: int) -> str:
    """Return the text after a label, up to the next step that the agent invents."""
    end = next((label.start() for label in labels[index + 1 :] if label["step"]), len(text))
    return text[labels[index].end() : end].strip()
