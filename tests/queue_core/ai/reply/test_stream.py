"""Streams of events that come as one answer: their pieces make the text; an error or an unknown shape makes none."""

from __future__ import annotations

import json
from typing import Any

import pytest

from queue_core.ai.reply import extract

DONE = "data: [DONE]\n\n"


def stream(*values: Any, event: str = "") -> str:
    """Return a stream with an event for each value."""
    head = f"event: {event}\n" if event else ""
    return "".join(f"{head}data: {json.dumps(value)}\n\n" for value in values)


def delta(**fields: Any) -> dict[str, Any]:
    """Return a chunk of a chat completion."""
    return {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": fields}]}


STREAMS = {
    "chat completions": stream(
        delta(role="assistant", content=""), delta(content="We open "), delta(content="at nine.")
    )
    + DONE,
    "chat completions with reasoning": stream(
        delta(reasoning_content="They ask."), delta(content="We open at nine."), {"choices": [], "usage": {}}
    ),
    "a gateway's comments": f": PROCESSING\n\n: PROCESSING\n\n{stream(delta(content='We open at nine.'))}{DONE}",
    "completions": stream({"choices": [{"text": "We open"}]}, {"choices": [{"text": " at nine."}]}),
    "Responses": stream(
        {"type": "response.reasoning_summary_text.delta", "delta": "Hm"},
        {"type": "response.output_text.delta", "delta": "We open "},
        {"type": "response.output_text.delta", "delta": "at nine."},
        {"type": "response.output_text.done", "text": "We open at nine."},
    ),
    "Anthropic": stream(
        {"type": "message_start", "message": {"role": "assistant"}},
        {"type": "content_block_delta", "delta": {"type": "thinking_delta", "thinking": "Hm"}},
        {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "We open at nine."}},
        event="content_block_delta",
    ),
    "Gemini": stream(
        {"candidates": [{"content": {"parts": [{"text": "Hm", "thought": True}]}}]},
        {"candidates": [{"content": {"parts": [{"text": "We open "}, {"text": "at nine."}]}}]},
    ),
    "Cohere": stream(
        {"type": "content-delta", "delta": {"message": {"content": {"text": "We open at nine."}}}}
    ),
    "the AI SDK": stream({"type": "text-delta", "id": "0", "delta": "We open at nine."}),
    "n8n": stream({"type": "begin"}, {"type": "item", "content": "We open at nine."}, {"type": "end"}),
    "Dify": stream(
        {"event": "message", "answer": "We open "},
        {"event": "agent_message", "answer": "at nine."},
        {"event": "message_end", "metadata": {}},
    ),
    "Dify, moderated": stream(
        {"event": "message", "answer": "A secret."},
        {"event": "message_replace", "answer": "We open at nine."},
    ),
    "a workflow of Dify": stream(
        {"event": "workflow_started", "data": {"inputs": {"query": "When?"}}},
        {
            "event": "workflow_finished",
            "data": {"status": "succeeded", "outputs": {"text": "We open at nine."}},
        },
    ),
    "Flowise": 'message:\ndata:{"event":"start","data":""}\n\nmessage:\ndata:{"event":"token","data":"We open at nine."}\n\n',
    "LangServe": stream("We open ", "at nine.", event="data"),
    "LangGraph": stream(
        {"messages": [{"type": "human", "content": "When?"}]},
        {"messages": [{"type": "human", "content": "When?"}, {"type": "ai", "content": "We open at nine."}]},
        event="values",
    ),
    "LangGraph, by messages": stream(
        [{"type": "AIMessageChunk", "content": "We open"}],
        [{"type": "AIMessageChunk", "content": "We open at nine."}],
        event="messages/partial",
    ),
    "an answer with covers of its own": stream(
        delta(content="<think>Hm</think>"), delta(content="We open at nine.")
    ),
}


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("line_break", ["\n", "\r\n"])
def test_the_pieces_make_the_text(name: str, line_break: str) -> None:
    assert extract(STREAMS[name].replace("\n", line_break)).text == "We open at nine."


@pytest.mark.parametrize(
    ("text", "absence"),
    [
        (stream(delta(content="We")) + stream({"error": {"message": "overloaded"}}), "error"),
        (stream({"event": "message", "answer": "We"}, {"event": "error", "message": "no quota"}), "error"),
        (stream({"type": "error", "error": {"type": "overloaded_error"}}, event="error"), "error"),
        (stream({"progress": 1}, {"progress": 2}), "stream"),
        (stream(delta(role="assistant")) + DONE, "stream"),
        (stream(delta(content="<think>They ask")), "reasoning"),
        ("data: not\n\ndata: known\n\n", "stream"),
        ('data: "a"\n\n' * 20_001, "stream"),
    ],
)
def test_a_stream_without_a_text_says_why(text: str, absence: str) -> None:
    reply = extract(text)
    assert (reply.text, reply.absence) == ("", absence)


@pytest.mark.parametrize(
    "lines",
    [
        [{"message": {"content": "We op"}, "done": False}, {"message": {"content": "en."}, "done": True}],
        [{"response": "We op", "done": False}, {"response": "en.", "done": True, "context": [1]}],
        [delta(content="We op"), delta(content="en.")],
    ],
)
def test_pieces_may_be_lines_of_json(lines: list[Any]) -> None:
    assert extract("\n".join(map(json.dumps, lines))).text == "We open."


@pytest.mark.parametrize(
    "text", ["data: the opening hours", "event: a party\nWe celebrate.", "message:\nWe open at nine."]
)
def test_a_text_that_begins_like_a_stream_is_a_text(text: str) -> None:
    assert extract(text).text == text
