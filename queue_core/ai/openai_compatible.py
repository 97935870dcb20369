"""APIs that work like OpenAI's chat completions."""

from __future__ import annotations

from typing import Any

import msgspec

from queue_core.ai.asking import Asking, RefusedError
from queue_core.ai.base import Answer
from queue_core.ai.memory import ConversationMemory, Memory, Turn
from queue_core.http_client import HttpAnswer
from queue_core.message import Batch, well_formed


class OpenAiBackend:
    """API with `POST {base_url}/chat/completions`. It remembers nothing, so each request has the last turns.

    `memory` keeps the AI's raw answers, so that the AI sees them in the format in which it must answer.
    """

    name = "openai"

    def __init__(
        self,
        asking: Asking,
        base_url: str,
        api_key: str,
        model: str,
        memory: ConversationMemory,
        *,
        system_prompt: str = "",
        history_turns: int = 10,
    ) -> None:
        self._asking = asking
        self._url = f"{base_url.rstrip('/')}/chat/completions"
        self._api_key = api_key
        self._model = model
        self._memory = memory if history_turns else None
        self._system_prompt = system_prompt
        self._history_max = 2 * history_turns

    async def answer(self, batch: Batch) -> Answer:
        """See Backend.answer. If the API refuses the request (400, 413, 422), asks once more without the history.

        Otherwise, once the history is too long for the model, every later turn would be refused.
        """
        known = await self._memory.load(batch.instance_name, batch.user_phone) if self._memory else None
        memory = known or Memory()
        try:
            answer = await self._ask(memory, batch)
        except RefusedError:
            if not memory.history:
                raise
            memory = msgspec.structs.replace(memory, history=())
            answer = await self._ask(memory, batch)
        body = answer.json()
        text = self._asking.text(_content(body), batch, body)
        if not known:
            return Answer(text)
        history = (*memory.history, Turn("user", well_formed(batch.text)), Turn("assistant", text))
        return Answer(text, msgspec.structs.replace(memory, history=history[-self._history_max :]))

    async def _ask(self, memory: Memory, batch: Batch) -> HttpAnswer:
        body = {"model": self._model, "messages": self._messages(memory, batch)}
        return await self._asking.post(self._url, body, self._api_key, batch)

    def _messages(self, memory: Memory, batch: Batch) -> list[dict[str, str]]:
        system = [{"role": "system", "content": self._system_prompt}] if self._system_prompt else []
        before = [{"role": turn.role, "content": turn.text} for turn in memory.history]
        return [*system, *before, {"role": "user", "content": batch.text}]


def _content(body: Any) -> Any:
    """Return `choices[0].message.content`, which is a text or a list of parts, or else the message's `refusal`."""
    try:
        message = body["choices"][0]["message"]
        content = message.get("content") or message.get("refusal")
    except (TypeError, KeyError, IndexError, AttributeError):
        return None
    if isinstance(content, list):
        texts = [part.get("text") for part in content if isinstance(part, dict)]
        return "".join(text for text in texts if isinstance(text, str))
    return content
