"""Reasons why an answer has no text for the user, and what the operator can do. They quote no text of user or AI."""

from __future__ import annotations

import re
from typing import Any, Literal

from queue_core.ai.reply.json_text import action_of, is_call, is_failure
from queue_core.ai.reply.keys import HIDDEN_KEYS, plain

Absence = Literal[
    "empty",
    "no result",
    "reasoning",
    "call",
    "tokens",
    "html",
    "stream",
    "started",
    "accepted",
    "stopped",
    "langgraph run",
    "dify workflow",
    "error",
    "json",
    "other",
]

WORDS: dict[Absence, str] = {
    "empty": "it is empty; check the model's token limit and the last step of the app or flow",
    "no result": "its response is empty, so the flow had no result; check the flow's last step, or add "
    "needsDataCollection if no reply is wanted",
    "reasoning": "it is reasoning only; raise the model's token limit, or switch its reasoning off",
    "call": "it only calls a tool; let the app or flow carry out the call, or take its tools away",
    "tokens": "it has nothing but control tokens; check the model's chat template on its server",
    "html": "it is an HTML page, as from a proxy, a login or a wrong address; check AI_URL",
    "stream": "it is a stream of events without a text in a known form; switch streaming off, so that the whole answer "
    "comes at once",
    "started": "the flow answered before it ran; in n8n's Webhook node, set Respond to 'When Last Node Finishes' or "
    "'Using Respond to Webhook Node'",
    "accepted": "the scenario answered before it ran; in Make, add the module 'Webhook response' at its end",
    "stopped": "the agent stopped at its limit of steps; raise its maximum of iterations, or give it fewer tools",
    "langgraph run": "it is a run of LangGraph that has not finished; let AI_URL end in /runs/wait",
    "dify workflow": "it is the result of a Dify workflow, without a text; use a chat app, or give the workflow an "
    "output named text",
    "error": "it is an error, or the body of one; see the log of the AI or flow",
    "json": "it is JSON without a text; answer with the key response",
    "other": "it does not have the form of this API's answers; check AI and AI_URL",
}
"""Words for each reason, after "the AI's answer holds no text for the user: "."""

KEYS_MAX = 100
"""Limit on the keys of a body that is recognised as one without a text."""

_HTML = re.compile(
    r"\s*(?:<\?xml[^>]{0,200}>\s*)?(?:<!--.{0,500}?-->\s*)?<(?:!doctype\s+html|html|head|body|title)\b",
    re.IGNORECASE | re.DOTALL,
)
_ERROR = re.compile(
    r"(?:(?:axios)?error: ?)?request failed with status code \d{3}\.?"
    r"|(?:[\w.]{1,80}: )?error code: \d{3} - [{<].*"
    r"|litellm\.\w{1,40}: .*|\[GoogleGenerativeAI Error\]: .*"
    r"|\d{3} (?:[A-Z_]{4,40}\. )?\{\s?[\"'](?:error[\"']: ?|type[\"']: ?[\"']error[\"']).*"
    r"|\d{3} you exceeded your current quota.*",
    re.IGNORECASE | re.DOTALL,
)
"""Errors as the clients of AIs put them into words: axios, OpenAI, Anthropic, LiteLLM, Google."""
_TRACE = re.compile(
    r"Traceback \(most recent call last\):\n +File \".*"
    r"|(?:Uncaught )?[\w.$]{0,80}(?:Error|Exception)(?:: [^\n]*+)?"
    r"(?=(?P<places>(?:\n\s++at [^\n]++)+(?:\n[\s}\])][^\n]*+|\n)*))(?P=places)",
    re.DOTALL,
)
"""Error with the places in a program where it was raised, in Python, JavaScript or Java."""
ERROR_CHARACTERS_MAX = 65_536
"""Limit on the length of such texts."""
_STREAM = re.compile(
    r"(?:(?:event|data|id|retry|message)?:[^\n]*\n\s*){0,50}?"
    r"(?:(?:event|data|id|retry):[^\n]*\n\s*(?:(?:event|data|id|retry):|\Z)|data: ?(?:\{|\[DONE\]))"
)
_STREAM_BEGINS = ("data:", "event:", "id:", "retry:", "message:", ": ")
_STARTED = re.compile(r"workflow (?:was started|got started|executed successfully)", re.IGNORECASE)

_STOPPED = re.compile(
    r"agent stopped due to (?:max iterations|iteration limit or time limit|max_?iterations)\.?"
    r"|sorry, need more steps to process this request\.?",
    re.IGNORECASE,
)
"""Sentences that LangChain, n8n, Flowise and LangGraph answer instead of the agent."""
_N8N_FAILED = re.compile(
    r"error in workflow|no item to return was found|no data found for item|workflow could not be started"
    r"|there was a problem (?:executing|running)|unused respond to webhook node|workflow webhook error",
    re.IGNORECASE,
)
"""Words beside a code in n8n's bodies of errors, which may come with status 200 through a proxy or a flow."""


def absence_of_page(text: str) -> Absence | None:
    """Return the reason if the text is a web page, a stream, an error, or from a flow or agent that did not finish."""
    if _HTML.match(text):
        return "html"
    if text.startswith(_STREAM_BEGINS) and _STREAM.match(text):
        return "stream"
    if len(text) < ERROR_CHARACTERS_MAX and (_ERROR.fullmatch(text) or _TRACE.fullmatch(text)):
        return "error"
    if len(text) < 200 and _STARTED.match(text):
        return "started"
    return "stopped" if len(text) < 200 and _STOPPED.fullmatch(text) else None


def absence_of_json(value: Any) -> Absence | None:
    """Return the reason if the value is a known body without a text, such as that of an unfinished run."""
    fields = _fields(value) if not isinstance(value, dict) or len(value) <= KEYS_MAX else {}
    if {"runid", "threadid", "status"} <= fields.keys():
        return "langgraph run"
    message = fields.get("message")
    if not isinstance(message, str):
        return None
    if len(fields) == 1 and _STARTED.match(message):
        return "started"
    return "error" if "code" in fields and _N8N_FAILED.match(message) else None


def absence_of_value(value: Any) -> Absence:
    """Return the reason why a JSON value has no text."""
    fields = _fields(value)
    if {"workflowrunid", "data"} <= fields.keys():
        return "dify workflow"
    if is_failure(fields):
        return "error"
    if is_call(fields) or action_of(fields) is not None:
        return "call"
    if fields and fields.keys() <= HIDDEN_KEYS:
        return "reasoning"
    return "json"


def absence_of_body(body: Any) -> Absence:
    """Return the reason why an API's body lacks the field in which that API puts the text."""
    message = _message_of(body)
    if message is None:
        absence = absence_of_json(body) or absence_of_value(body)
        return "other" if absence == "json" else absence
    if is_call(message):
        return "call"
    return "reasoning" if message.get("reasoning") or message.get("reasoningcontent") else "empty"


def _message_of(body: Any) -> dict[str, Any] | None:
    """Return the fields of the message in the body of a chat completion."""
    try:
        message = body["choices"][0]["message"]
    except (TypeError, KeyError, IndexError):
        return None
    return _fields(message)


def _fields(value: Any) -> dict[str, Any]:
    first = value[0] if isinstance(value, list) and value else value
    return {plain(key): item for key, item in first.items()} if isinstance(first, dict) else {}
