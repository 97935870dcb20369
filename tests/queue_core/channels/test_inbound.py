"""One message of a webhook never costs another one, not even by a fault of the parser."""

from __future__ import annotations

from queue_core import QueueMessage
from queue_core.channels.base import Inbound, InvalidWebhookError, SkippedError, Unreadable
from queue_core.channels.phrases import phrases_in
from queue_core.channels.unreadable import unreadable


def read(item: str) -> QueueMessage:
    match item:
        case "own":
            raise SkippedError("own")
        case "nobody":
            raise InvalidWebhookError("its user is unknown")
        case "fault":
            raise ZeroDivisionError("secret words of a user")
    return QueueMessage(instance_name="shop", user_phone="1", message=item)


def set_aside(item: str, reason: str) -> Unreadable:
    return unreadable(phrases_in("en"), "cloud", "shop", "1", {"item": item, "apikey": "secret"}, reason)


def test_each_item_is_read_skipped_or_set_aside() -> None:
    inbound = Inbound.of(["a", "fault", "own", "nobody", "b"], read, set_aside, {"receipt": 2, "error": 0})
    assert [message.message for message in inbound.messages] == ["a", "b"]
    assert inbound.skipped == {"receipt": 2, "own": 1}
    fault, nobody = inbound.unreadable
    assert nobody.reason == "its user is unknown"
    assert "ZeroDivisionError in read, line" in fault.reason
    assert "secret words" not in fault.reason


def test_what_is_kept_has_no_secrets_and_an_id() -> None:
    message = set_aside("x", "why").message
    assert message.message_data == {"channel": "cloud", "kind": "unreadable", "webhook": {"item": "x"}}
    assert (message.id, message.message) == ("unreadable", "[unreadable message]")


def test_a_user_or_instance_that_is_not_known_has_a_name() -> None:
    message = unreadable(phrases_in("en"), "cloud", " ", "", None, "why").message
    assert (message.instance_name, message.user_phone) == ("unknown", "unknown")


def test_a_long_payload_is_cut_after_its_secrets_were_removed() -> None:
    payload = {"token": "secret", "a": "x" * 100_000}
    kept = unreadable(phrases_in("en"), "cloud", "shop", "1", payload, "why").message.message_data["webhook"]
    assert kept["omitted"] == "too large"
    assert len(kept["start"]) == 16_384
    assert "secret" not in kept["start"]
