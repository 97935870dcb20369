"""Dify: `POST /chat-messages` in blocking mode."""

from __future__ import annotations

import hashlib

import msgspec

from queue_core.ai.asking import Asking, NotFoundError
from queue_core.ai.base import Answer
from queue_core.ai.memory import ConversationMemory, Memory
from queue_core.http_client import HttpAnswer
from queue_core.message import Batch


class DifyBackend:
    """Dify chat app. Dify remembers the conversation itself, under an id that is kept in `memory`.

    Dify also remembers calls whose answers were dropped. The exception is the first call of a conversation: its id is
    not saved then, so the next call begins a new conversation.
    """

    name = "dify"

    def __init__(self, asking: Asking, base_url: str, api_key: str, memory: ConversationMemory) -> None:
        self._asking = asking
        self._url = f"{base_url.rstrip('/')}/chat-messages"
        self._api_key = api_key
        self._memory = memory

    async def answer(self, batch: Batch) -> Answer:
        """See Backend.answer. If Dify has forgotten the conversation (404), begins a new one at once."""
        known = await self._memory.load(batch.instance_name, batch.user_phone)
        memory = known or Memory()
        try:
            answer = await self._ask(batch, memory.conversation_id)
        except NotFoundError:
            if not memory.conversation_id:
                raise
            answer = await self._ask(batch, "")
        body = answer.json()
        fields = body if isinstance(body, dict) else {}
        text = self._asking.text(fields.get("answer"), batch, body)
        conversation_id = fields.get("conversation_id")
        if not known or not isinstance(conversation_id, str):
            return Answer(text)
        # Saved even if the id is the same, since the memory is kept for a time after its last write.
        return Answer(text, msgspec.structs.replace(known, conversation_id=conversation_id))

    async def _ask(self, batch: Batch, conversation_id: str) -> HttpAnswer:
        body = {
            "inputs": {},
            "query": batch.text,
            "response_mode": "blocking",
            "conversation_id": conversation_id,
            "user": _user(batch),
        }
        return await self._asking.post(self._url, body, self._api_key, batch)


def _user(batch: Batch) -> str:
    """Return a name for the user that is the same in all turns and does not reveal the phone number."""
    return hashlib.sha256(
        f"{batch.instance_name}\0{batch.user_phone}".encode("utf-8", "replace")
    ).hexdigest()[:32]
