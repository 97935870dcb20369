"""AI backends against a real HTTP server: what is asked, what is taken as the answer, and what every failure means."""

from __future__ import annotations

import asyncio
import email.utils
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiohttp
import pytest
from redis.asyncio import Redis

from queue_core import GiveUpError, MessageQueue, QueueUnavailableError, RetryLaterError
from queue_core.ai.asking import Asking, NoTextError
from queue_core.ai.base import Backend
from queue_core.ai.dify import DifyBackend
from queue_core.ai.echo import EchoBackend
from queue_core.ai.generic_http import HttpBackend
from queue_core.ai.memory import ConversationMemory, Memory
from queue_core.ai.openai_compatible import OpenAiBackend
from queue_core.ai.reply import ABSENCE_WORDS, Absence, extract
from queue_core.http_client import ANSWER_BYTES_MAX, new_session
from queue_core.message import Batch
from tests.queue_core.stub_http import Answer, batch, stub

KEY = "key-of-the-test"
WAITS_S = (2.0, 15.0, 60.0)


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with new_session() as opened:
        yield opened


@pytest.fixture
def asking(session: aiohttp.ClientSession) -> Asking:
    return Asking(session, timeout_s=10, waits_s=WAITS_S)


@pytest.fixture
def memory(redis_client: Redis) -> ConversationMemory:
    return ConversationMemory(MessageQueue(redis_client).notes)


def dify_answer(text: str = "Hi", conversation: str = "c-1") -> Answer:
    return Answer({"event": "message", "answer": text, "conversation_id": conversation, "mode": "chat"})


def chat_answer(content: Any = "Hi") -> Answer:
    return Answer({"choices": [{"message": {"role": "assistant", "content": content}}]})


async def text_of(backend: Backend, turn: Batch) -> str:
    """Ask the AI, and return the text that the user sees of its answer."""
    return extract((await backend.answer(turn)).text).text


async def ask_and_remember(backend: Backend, turn: Batch, memory: ConversationMemory) -> str:
    """Ask the AI, save the new memory as the bot does for an answer that is sent, and return the text."""
    answer = await backend.answer(turn)
    if answer.memory:
        await memory.save(turn.instance_name, turn.user_phone, answer.memory)
    return answer.text


async def remembered(memory: ConversationMemory) -> Memory:
    """Return the memory of the conversation."""
    loaded = await memory.load("bot", "966500000001")
    assert loaded is not None
    return loaded


async def test_echo_answers_with_the_texts() -> None:
    assert await text_of(EchoBackend(), batch("one", "", "two")) == "one\ntwo"


async def test_http_is_asked_with_the_whole_turn(asking: Asking) -> None:
    async with stub(Answer({"response": "Hi"})) as server:
        backend = HttpBackend(asking, f"{server.url}/ask/?sig=a%2Bb", KEY)
        assert await text_of(backend, batch("one", "two", kind="image")) == "Hi"
    (body,), (headers,) = server.bodies, server.headers
    assert server.paths == ["/ask/?sig=a%2Bb"]
    assert headers["Authorization"] == f"Bearer {KEY}"
    assert (body["text"], body["ids"], body["attempt"], body["fencing_token"]) == (
        "one\ntwo",
        ["m1", "m2"],
        1,
        7,
    )
    assert (body["trigger"], body["due_at"], body["claimed_at"]) == ("window", 1_000, 1_005)
    assert [(message["id"], message["text"], message["kind"]) for message in body["messages"]] == [
        ("m1", "one", "image"),
        ("m2", "two", "image"),
    ]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Answer({"reply": "Hi"}), "Hi"),
        (Answer({"answer": "Hi", "text": "no"}), "Hi"),
        (Answer("Hi"), "Hi"),
        (Answer(text="Hi there"), "Hi there"),
        (Answer(text="\ufeffHi there"), "Hi there"),
        (Answer(text='{"response": "Hi'), "Hi"),
        (Answer([{"output": "Hi"}]), "Hi"),
        (Answer(["Hi", "there"]), "Hi\nthere"),
        (Answer({"response": {"text": "Hi"}}), "Hi"),
        (Answer({"response": "Hi", "requestedFields": ["a"]}), "Hi"),
        (Answer({"response": "", "needsDataCollection": False}), ""),
        (Answer({"output": {"response": "", "requestedFields": []}}), ""),
        (Answer(text='{"response": "NO_REPLY"}'), ""),
    ],
)
async def test_http_takes_the_text_of_a_body_in_any_known_shape(
    asking: Asking, answer: Answer, expected: str
) -> None:
    async with stub(answer) as server:
        assert await text_of(HttpBackend(asking, server.url), batch("x")) == expected
    assert "Authorization" not in server.headers[0]


@pytest.mark.parametrize(
    "answer",
    [
        Answer(None),
        Answer(True),
        Answer([]),
        Answer([1]),
        Answer({}),
        Answer({"error": "quota"}),
        Answer(text=" \n"),
        Answer(text="<!DOCTYPE html><p>Please log in"),
        Answer(text="\n<html lang=en><body>502"),
        Answer(text="<think>They ask for hours."),
    ],
)
async def test_http_tries_again_where_a_body_has_no_text(asking: Asking, answer: Answer) -> None:
    async with stub(answer) as server:
        with pytest.raises(RetryLaterError, match="no text"):
            await HttpBackend(asking, server.url).answer(batch("x"))


def calling(content: str | None = None) -> Answer:
    """Make the body of a chat completion that only calls a tool."""
    call = {"id": "c", "type": "function", "function": {"name": "hours", "arguments": "{}"}}
    return Answer({"choices": [{"message": {"role": "assistant", "content": content, "tool_calls": [call]}}]})


NO_TEXT: list[tuple[str, Answer, Absence]] = [
    ("http", Answer(text="Workflow was started"), "started"),
    ("http", Answer({"message": "Workflow was started"}), "started"),
    ("http", Answer(text="Accepted"), "accepted"),
    ("http", Answer(text="<html><head><title>502 Bad Gateway</title></head></html>"), "html"),
    (
        "http",
        Answer({"run_id": "r", "thread_id": "t", "status": "pending", "kwargs": {"input": "Hi"}}),
        "langgraph run",
    ),
    (
        "http",
        Answer({"workflow_run_id": "w", "task_id": "t", "data": {"status": "running"}}),
        "dify workflow",
    ),
    ("http", Answer({"error": {"message": "no quota"}}), "error"),
    ("http", Answer({"response": ""}), "no result"),
    ("http", Answer([{"response": " "}]), "no result"),
    ("http", Answer({"output": {"response": ""}}), "no result"),
    ("http", Answer(text='```json\n{"response":""}\n```'), "no result"),
    ("http", Answer({"id": "x", "count": 3}), "json"),
    ("http", Answer({"name": "hours", "arguments": {}}), "call"),
    ("http", Answer(text='data: {"answer": "We"}\n\ndata: {"answer": " open"}\n\n'), "stream"),
    ("openai", calling(), "call"),
    (
        "openai",
        Answer({"choices": [{"message": {"content": None, "reasoning_content": "They ask"}}]}),
        "reasoning",
    ),
    ("openai", chat_answer(""), "empty"),
    ("openai", chat_answer("<|channel|>analysis<|message|>They ask for"), "reasoning"),
    ("openai", chat_answer("<|im_end|>"), "tokens"),
    ("openai", Answer({"object": "list", "data": []}), "other"),
    ("openai", Answer({"error": {"message": "no quota"}}), "error"),
    ("dify", dify_answer(""), "empty"),
    ("dify", dify_answer('{"action": "hours", "action_input": {}}'), "call"),
    ("dify", Answer({"workflow_run_id": "w", "data": {"outputs": {}}}), "dify workflow"),
]


@pytest.mark.parametrize(("kind", "answer", "absence"), NO_TEXT)
async def test_an_answer_without_text_is_asked_for_again_once_and_says_what_to_change(
    asking: Asking, memory: ConversationMemory, kind: str, answer: Answer, absence: Absence
) -> None:
    async with stub(answer) as server:
        backends: dict[str, Backend] = {
            "http": HttpBackend(asking, server.url),
            "openai": OpenAiBackend(asking, server.url, "", "m", memory),
            "dify": DifyBackend(asking, server.url, KEY, memory),
        }
        with pytest.raises(NoTextError) as first:
            await backends[kind].answer(batch("x", attempt=1))
        is_outage = absence in ("html", "error")
        with pytest.raises(NoTextError if is_outage else GiveUpError) as second:
            await backends[kind].answer(batch("x", attempt=2))
    assert first.value.after_ms == 2_000
    assert first.value.blames == ("backend" if is_outage else "turn")
    assert str(first.value) == str(second.value)
    assert str(first.value).endswith(f"no text for the user: {ABSENCE_WORDS[absence]}")


async def test_a_refusal_is_a_text(asking: Asking, memory: ConversationMemory) -> None:
    refusal = {"choices": [{"message": {"content": None, "refusal": "I cannot help with that."}}]}
    async with stub(Answer(refusal)) as server:
        openai = OpenAiBackend(asking, server.url, "", "m", memory)
        assert await text_of(openai, batch("x")) == "I cannot help with that."


async def test_text_beside_a_call_is_shown(asking: Asking, memory: ConversationMemory) -> None:
    async with stub(calling("One moment.")) as server:
        assert await text_of(OpenAiBackend(asking, server.url, "", "m", memory), batch("x")) == "One moment."


async def test_half_a_surrogate_pair_is_sent_as_a_replacement(
    asking: Asking, memory: ConversationMemory
) -> None:
    async with stub(chat_answer(), Answer("Hi")) as server:
        await ask_and_remember(OpenAiBackend(asking, server.url, "", "m", memory), batch("ok \ud83d"), memory)
        await HttpBackend(asking, server.url).answer(batch("x", name="\ud83d"))
    assert server.bodies[0]["messages"][-1]["content"] == "ok \ufffd"
    assert server.bodies[1]["messages"][0]["data"] == {"name": "\ufffd"}
    assert [turn.text for turn in (await remembered(memory)).history] == ["ok \ufffd", "Hi"]


async def test_dify_keeps_its_conversation(asking: Asking, memory: ConversationMemory) -> None:
    async with stub(dify_answer("one"), dify_answer("two")) as server:
        dify = DifyBackend(asking, f"{server.url}/v1/", KEY, memory)
        assert [
            await ask_and_remember(dify, batch("a", "b"), memory),
            await ask_and_remember(dify, batch("c"), memory),
        ] == [
            "one",
            "two",
        ]
    first, second = server.bodies
    assert server.paths == ["/v1/chat-messages"] * 2
    assert (first["query"], first["response_mode"], first["inputs"]) == ("a\nb", "blocking", {})
    assert (first["conversation_id"], second["conversation_id"]) == ("", "c-1")
    assert first["user"] == second["user"]
    assert "966500000001" not in first["user"]


async def test_each_turn_with_dify_renews_the_time_for_which_its_conversation_is_kept(
    asking: Asking, memory: ConversationMemory, redis_client: Redis
) -> None:
    key = MessageQueue(redis_client).keys.of("bot", "966500000001").memory
    async with stub(dify_answer(), dify_answer()) as server:
        dify = DifyBackend(asking, server.url, KEY, memory)
        await ask_and_remember(dify, batch("a"), memory)
        await redis_client.expire(key, 60)
        await ask_and_remember(dify, batch("b"), memory)
    assert await redis_client.ttl(key) > 60
    assert (await remembered(memory)).conversation_id == "c-1"


async def test_dify_begins_anew_when_it_has_forgotten(asking: Asking, memory: ConversationMemory) -> None:
    gone = Answer({"code": "not_found", "message": "Conversation Not Exists."}, status=404)
    async with stub(dify_answer(), gone, dify_answer("again", "c-2")) as server:
        dify = DifyBackend(asking, server.url, KEY, memory)
        await ask_and_remember(dify, batch("a"), memory)
        assert await ask_and_remember(dify, batch("b"), memory) == "again"
    assert [body["conversation_id"] for body in server.bodies] == ["", "c-1", ""]
    assert (await remembered(memory)).conversation_id == "c-2"


class Unreadable:
    """Store of memories that does not answer."""

    async def get(self, instance_name: str, user_phone: str) -> bytes | str | None:
        raise QueueUnavailableError("away")

    async def put(self, instance_name: str, user_phone: str, value: bytes, *, ttl_s: int) -> None:
        raise AssertionError("it would replace a memory that is still there")


async def test_a_memory_that_cannot_be_read_is_not_replaced(asking: Asking) -> None:
    memory = ConversationMemory(Unreadable())
    async with stub(dify_answer(), chat_answer()) as server:
        for backend in (
            DifyBackend(asking, server.url, KEY, memory),
            OpenAiBackend(asking, server.url, "", "m", memory),
        ):
            assert await ask_and_remember(backend, batch("x"), memory) == "Hi"


async def test_dify_that_is_not_there_is_not_asked_twice(asking: Asking, memory: ConversationMemory) -> None:
    async with stub(Answer({}, status=404)) as server:
        with pytest.raises(RetryLaterError, match="AI_URL"):
            await DifyBackend(asking, server.url, KEY, memory).answer(batch("a"))
    assert len(server.bodies) == 1


async def test_openai_gets_the_conversation_so_far(asking: Asking, memory: ConversationMemory) -> None:
    async with stub(*(chat_answer(f"answer {number}") for number in range(4))) as server:
        openai = OpenAiBackend(
            asking, f"{server.url}/v1", KEY, "some-model", memory, system_prompt="Be kind.", history_turns=2
        )
        for number in range(4):
            await ask_and_remember(openai, batch(f"question {number}"), memory)
    assert server.paths[0] == "/v1/chat/completions"
    assert server.bodies[0] == {
        "model": "some-model",
        "messages": [
            {"role": "system", "content": "Be kind."},
            {"role": "user", "content": "question 0"},
        ],
    }
    contents = [message["content"] for message in server.bodies[3]["messages"]]
    assert contents == ["Be kind.", "question 1", "answer 1", "question 2", "answer 2", "question 3"]


async def test_openai_answers_in_parts(asking: Asking, memory: ConversationMemory) -> None:
    parts = [{"type": "text", "text": "Hi "}, {"type": "image"}, {"type": "text", "text": "there"}, 3]
    async with stub(chat_answer(parts)) as server:
        openai = OpenAiBackend(asking, server.url, "", "m", memory)
        assert await text_of(openai, batch("x")) == "Hi there"


@pytest.mark.parametrize("status", [400, 413, 422])
async def test_a_history_that_is_refused_is_left_out(
    asking: Asking, memory: ConversationMemory, status: int
) -> None:
    """A history that is too long for the model would be refused at every later turn."""
    refusal = Answer({"error": {"code": "context_length_exceeded"}}, status=status)
    async with stub(chat_answer("one"), refusal, chat_answer("two")) as server:
        openai = OpenAiBackend(asking, server.url, "", "m", memory)
        await ask_and_remember(openai, batch("a"), memory)
        assert await ask_and_remember(openai, batch("b"), memory) == "two"
    contents = [[message["content"] for message in body["messages"]] for body in server.bodies]
    assert contents == [["a"], ["a", "one", "b"], ["b"]]
    assert [turn.text for turn in (await remembered(memory)).history] == ["b", "two"]


async def test_a_refusal_that_is_not_about_the_history_changes_nothing(
    asking: Asking, memory: ConversationMemory
) -> None:
    async with stub(chat_answer("one"), Answer({}, status=400)) as server:
        openai = OpenAiBackend(asking, server.url, "", "m", memory)
        await ask_and_remember(openai, batch("a"), memory)
        with pytest.raises(RetryLaterError, match="400"):
            await ask_and_remember(openai, batch("b"), memory)
    assert len(server.bodies) == 3
    assert [turn.text for turn in (await remembered(memory)).history] == ["a", "one"]


async def test_dify_that_fails_after_it_has_forgotten_changes_nothing(
    asking: Asking, memory: ConversationMemory
) -> None:
    async with stub(dify_answer(), Answer({}, status=404), Answer({}, status=503)) as server:
        dify = DifyBackend(asking, server.url, KEY, memory)
        await ask_and_remember(dify, batch("a"), memory)
        with pytest.raises(RetryLaterError, match="503"):
            await ask_and_remember(dify, batch("b"), memory)
    assert len(server.bodies) == 3
    assert (await remembered(memory)).conversation_id == "c-1"


@pytest.mark.parametrize("text", ["<think>They ask", '{"response": "', "<tool_call>{}</tool_call>"])
async def test_what_is_asked_for_again_is_not_remembered(
    asking: Asking, memory: ConversationMemory, text: str
) -> None:
    async with stub(dify_answer(text), chat_answer(text)) as server:
        for backend in (
            DifyBackend(asking, server.url, KEY, memory),
            OpenAiBackend(asking, server.url, "", "m", memory),
        ):
            with pytest.raises(RetryLaterError, match="no text for the user"):
                await backend.answer(batch("x"))
    assert await remembered(memory) == Memory()


async def test_a_failed_attempt_is_not_remembered(asking: Asking, memory: ConversationMemory) -> None:
    async with stub(Answer({}, status=500)) as server:
        for backend in (
            DifyBackend(asking, server.url, KEY, memory),
            OpenAiBackend(asking, server.url, "", "m", memory),
        ):
            with pytest.raises(RetryLaterError):
                await backend.answer(batch("secret words"))
    kept = await remembered(memory)
    assert (kept.conversation_id, kept.history) == ("", ())


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"answer": None},
        {"answer": " "},
        {"choices": []},
        {"choices": [{"message": {"content": None}}]},
        [],
        3,
    ],
)
async def test_an_answer_without_text_is_tried_again(
    asking: Asking, memory: ConversationMemory, body: Any
) -> None:
    async with stub(Answer(body)) as server:
        for backend in (
            DifyBackend(asking, server.url, KEY, memory),
            OpenAiBackend(asking, server.url, "", "m", memory),
        ):
            with pytest.raises(RetryLaterError, match="no text"):
                await backend.answer(batch("x"))


@pytest.mark.parametrize(
    ("answer", "message", "wait_ms"),
    [
        (
            Answer({"code": "app_unavailable", "message": "secret words"}, status=400),
            "400 app_unavailable",
            2_000,
        ),
        (
            Answer({"error": {"code": "bad-key", "message": "x"}}, status=401),
            "401 bad-key; check AI_KEY",
            2_000,
        ),
        (Answer({"error": {"type": "overloaded"}}, status=529), "529 overloaded", 2_000),
        (Answer({"code": "<script>"}, status=500), "the AI answered 500", 2_000),
        (Answer({}, status=429, headers={"Retry-After": "30"}), "429", 30_000),
        (Answer({}, status=429, headers={"Retry-After": "1"}), "429", 2_000),
        (Answer({}, status=429, headers={"Retry-After": "soon"}), "429", 2_000),
        (Answer({}, status=503, headers={"Retry-After": "999999"}), "503", 600_000),
        (Answer({}, status=302, headers={"Location": "/elsewhere"}), "302; check AI_URL", 2_000),
        (Answer(cut=True), "cannot be reached", 2_000),
        (Answer(text="x" * (ANSWER_BYTES_MAX + 1)), "cannot be reached", 2_000),
    ],
)
async def test_failures_are_tried_again_after_a_while(
    asking: Asking, answer: Answer, message: str, wait_ms: int
) -> None:
    """The words name the status and the API's code, and never a text, a key or an address."""
    async with stub(answer) as server:
        with pytest.raises(RetryLaterError) as raised:
            await HttpBackend(asking, server.url, KEY).answer(batch("secret words"))
    assert message in str(raised.value)
    assert raised.value.after_ms == wait_ms
    for hidden in ("secret", KEY, "127.0.0.1", "<script>"):
        assert hidden not in str(raised.value)
    assert len(server.bodies) == 1


@pytest.mark.parametrize(
    ("answer", "blamed"),
    [
        (Answer({}, status=500), "backend"),
        (Answer({}, status=401), "backend"),
        (Answer({}, status=404), "backend"),
        (Answer({}, status=429), "backend"),
        (Answer(cut=True), "backend"),
        (Answer({}, status=400), "turn"),
        (Answer({}, status=413), "turn"),
        (Answer({}, status=422), "turn"),
        (Answer({"response": " "}), "turn"),
        (Answer({"response": "<think>hm</think>"}), "turn"),
    ],
)
async def test_a_failure_blames_the_ai_or_the_turn(asking: Asking, answer: Answer, blamed: str) -> None:
    async with stub(answer) as server:
        with pytest.raises(RetryLaterError) as raised:
            await HttpBackend(asking, server.url).answer(batch("x"))
    assert raised.value.blames == blamed


async def test_retry_after_may_be_a_date(asking: Asking) -> None:
    at = email.utils.formatdate(time.time() + 100, usegmt=True)
    async with stub(Answer({}, status=429, headers={"Retry-After": at})) as server:
        with pytest.raises(RetryLaterError) as raised:
            await HttpBackend(asking, server.url).answer(batch("x"))
    assert raised.value.after_ms is not None
    assert 60_000 < raised.value.after_ms <= 100_000


@pytest.fixture
def far_from_utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine whose local time is three hours behind UTC."""
    with monkeypatch.context() as changed:
        changed.setenv("TZ", "XYZ+3")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.parametrize("zone", ["", " -0000", " UTC", " +0000"])
@pytest.mark.usefixtures("far_from_utc")
async def test_a_date_of_retry_after_without_a_zone_is_in_utc(asking: Asking, zone: str) -> None:
    at = email.utils.formatdate(time.time() + 100).removesuffix(" -0000") + zone
    async with stub(Answer({}, status=429, headers={"Retry-After": at})) as server:
        with pytest.raises(RetryLaterError) as raised:
            await HttpBackend(asking, server.url).answer(batch("x"))
    assert raised.value.after_ms is not None
    assert 60_000 < raised.value.after_ms <= 100_000


@pytest.mark.parametrize(("attempt", "wait_ms"), [(1, 2_000), (2, 15_000), (3, 60_000), (4, 60_000)])
async def test_waits_grow_with_the_attempts(asking: Asking, attempt: int, wait_ms: int) -> None:
    async with stub(Answer({}, status=500)) as server:
        with pytest.raises(RetryLaterError) as raised:
            await HttpBackend(asking, server.url).answer(batch("x", attempt=attempt))
    assert raised.value.after_ms == wait_ms


async def test_an_ai_that_does_not_listen_is_tried_again(asking: Asking) -> None:
    async with stub(Answer({})) as server:
        url = server.url
    with pytest.raises(RetryLaterError, match="cannot be reached: no connection"):
        await HttpBackend(asking, url).answer(batch("x"))


@pytest.mark.parametrize(
    "body", ["not JSON", '{"answer": "Hi', '{"choices": [{"message": {"content": "Hi', ""]
)
async def test_malformed_json_is_tried_again(asking: Asking, memory: ConversationMemory, body: str) -> None:
    async with stub(Answer(text=body)) as server:
        for backend in (
            DifyBackend(asking, server.url, KEY, memory),
            OpenAiBackend(asking, server.url, "", "m", memory),
        ):
            with pytest.raises(RetryLaterError, match="no text"):
                await backend.answer(batch("x"))


@asynccontextmanager
async def dripping() -> AsyncIterator[str]:
    """Run a server whose answer never ends and comes a little at a time; yield its address. It takes one request."""
    stopped, ended = asyncio.Event(), asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
            while not stopped.is_set():
                writer.write(b" ")
                await writer.drain()
                with suppress(TimeoutError):
                    await asyncio.wait_for(stopped.wait(), 0.02)
        except ConnectionError:
            pass  # the client has given up
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()
            ended.set()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        yield f"http://{host}:{port}"
        stopped.set()
        await ended.wait()


async def test_an_answer_that_comes_too_slowly_is_given_up_on(session: aiohttp.ClientSession) -> None:
    """A limit on the time between two bytes would never end this one."""
    async with dripping() as url:
        with pytest.raises(RetryLaterError, match="cannot be reached: no complete answer"):
            await HttpBackend(Asking(session, timeout_s=0.3, waits_s=WAITS_S), url).answer(batch("x"))


async def test_an_ai_that_hangs_is_given_up_on(session: aiohttp.ClientSession) -> None:
    async with stub(Answer({}, hangs=True)) as server:
        with pytest.raises(RetryLaterError, match="cannot be reached: no complete answer"):
            await HttpBackend(Asking(session, timeout_s=0.2, waits_s=WAITS_S), server.url).answer(batch("x"))
