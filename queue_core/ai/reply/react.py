"""Answers of ReAct agents in prose: "Thought: …", "Action: …", "Observation: …", "Final Answer: …", a line each."""

from __future__ import annotations

import re
from itertools import islice

from queue_core.ai.reply.quoting import Code

LABELS_MAX = 1_000
"""Number of labels that are looked at."""

_FINAL = (
    r"final[ \t]?answer|final[ \t]?response|respuesta[ \t]final|resposta[ \t]final|réponse[ \t]finale|risposta[ \t]finale"
    r"|الإجابة[ \t]النهائية|الاجابة[ \t]النهائية|الجواب[ \t]النهائي|最终答案|最終回答"
)
_LABEL = re.compile(
    rf"\n[ \t>*#_]{{0,6}}(?:(?P<final>{_FINAL})|(?P<answer>answer|ai|response)"
    r"|(?P<step>thought|action[ \t]input|action|observation|question|pensamiento|pensamento|acción|ação|observación|observação))"
    r"[ \t]?[*_]{0,2}[:：][*_]{0,2}[ \t]?",
    re.IGNORECASE,
)


def final_answer(text: str, code: Code) -> tuple[str, bool] | None:
    """Returns the answer of an agent, and True if it calls a tool instead; None if the text is not an agent's."""
    if ":" not in text and "：" not in text:
        return None
    text = f"\n{text}"
    labels = [label for label in islice(_LABEL.finditer(text), LABELS_MAX) if not code.holds(label.start())]
    if not labels:
        return None
    steps = {" ".join(label["step"].lower().split()) for label in labels if label["step"]}
    finals = [index for index, label in enumerate(labels) if label["final"]]
    before = text[: labels[0].start()].strip()
    if finals and (steps - {"question"} or (not before and finals[0] == 0)):
        return _segment(text, labels, finals[-1]), False
    thinks = (labels[0]["step"] or "").lower() in ("thought", "pensamiento", "pensamento") and not before
    answers = [index for index, label in enumerate(labels) if label["answer"]]
    if thinks and answers:
        return _segment(text, labels, answers[-1]), False
    acts = steps & {"action", "acción", "ação"} and (steps & {"action input", "observation"} or thinks)
    return (_segment_of_action(text, labels) or before, True) if acts else None


def _segment(text: str, labels: list[re.Match[str]], index: int) -> str:
    """Returns the text after a label, up to the next step that the agent invents."""
    end = next((label.start() for label in labels[index + 1 :] if label["step"]), len(text))
    return text[labels[index].end() : end].strip()


def _segment_of_action(text: str, labels: list[re.Match[str]]) -> str:
    """Returns the JSON of the last action if that is the final answer."""
    index = max(index for index, label in enumerate(labels) if (label["step"] or "").lower() in ("action", "acción", "ação"))
    action = _segment(text, labels, index)
    return action if re.search(r"\"action\"\s{0,9}:\s{0,9}\"final", action[:500], re.IGNORECASE) else ""
