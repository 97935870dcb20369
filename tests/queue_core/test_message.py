"""Messages: what is stored can be read again, and what can never be stored is refused with the reason."""

from __future__ import annotations

import gc
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from queue_core import Batch, InvalidMessageError, QueueMessage, QueueSettings
from queue_core.keys import KeySpace
from queue_core.message import DEPTH_MAX, NAME_BYTES_MAX, check_names, decode, encode
from queue_core.redis import scripts

LIMIT = 262_144
words = st.text(st.characters(), max_size=20)  # lone surrogates included
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | words,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=4),
    max_leaves=12,
)


def message(**values: Any) -> QueueMessage:
    return QueueMessage(**{"id": "m1", "instance_name": "bot", "user_phone": "1", "message": "hi", **values})


def replace_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if isinstance(value, list):
        return [replace_surrogates(item) for item in value]
    if isinstance(value, dict):
        return {replace_surrogates(key): replace_surrogates(item) for key, item in value.items()}
    return value


def test_json_has_the_promised_names() -> None:
    names = "id instanceName userPhone message messageData timestamp addedAt status retryCount"
    names += " processingStartedAt completedAt changed earlier"
    assert list(message().as_dict()) == names.split()
    assert message(message_data={"a": 1}, timestamp=5).as_dict()["messageData"] == {"a": 1}


def test_only_what_never_changes_is_stored() -> None:
    stored = msgspec.json.decode(encode(message(message_data={"a": 1}, timestamp=5), LIMIT))
    assert stored == {
        "id": "m1",
        "instanceName": "bot",
        "userPhone": "1",
        "message": "hi",
        "messageData": {"a": 1},
        "timestamp": 5,
    }


def test_a_message_that_was_in_a_queue_before_is_stored_as_a_new_one() -> None:
    """Somebody enqueues what `pending` or a dead letter showed: its old times must not count."""
    used = message(added_at=5, status="failed", retry_count=3, processing_started_at=6, completed_at=7)
    assert encode(used, LIMIT) == encode(message(), LIMIT)
    assert encode(message(completed_at=7), LIMIT) == encode(message(), LIMIT)


@given(text=words, data=st.dictionaries(words, json_values, max_size=4))
def test_what_is_stored_can_be_read_again(text: str, data: dict[str, Any]) -> None:
    stored = decode(encode(message(message=text, message_data=data), LIMIT))
    assert stored is not None
    assert stored.message == replace_surrogates(text)
    assert stored.message_data == replace_surrogates(data)


def test_the_size_limit_is_in_bytes_as_stored_and_exact() -> None:
    size = len(encode(message(message="é" * 100), LIMIT))
    assert len(encode(message(message="é" * 100), size)) == size
    with pytest.raises(InvalidMessageError, match=rf"is {size} bytes as JSON, over the limit of {size - 1}"):
        encode(message(message="é" * 100), size - 1)


def too_deep() -> dict[str, Any]:
    outermost: dict[str, Any] = {}
    innermost = outermost
    for _ in range(100_000):
        innermost["a"] = {}
        innermost = innermost["a"]
    return outermost


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"message": None}, "message is of type NoneType, must be str"),
        ({"message": b"hi"}, "message is of type bytes"),
        ({"message_data": [1]}, "message_data is of type list, must be dict"),
        ({"message_data": None}, "message_data is of type NoneType"),
        ({"message_data": {"a": object()}}, "cannot be written as JSON"),
        ({"message_data": {"a": object(), "b": "\ud800"}}, "cannot be written as JSON"),
        ({"timestamp": "1790000000000"}, "must be Unix milliseconds as an int"),
        ({"timestamp": 1.5}, "must be Unix milliseconds as an int"),
        ({"timestamp": 2**60}, "must be Unix milliseconds as an int"),
        ({"timestamp": None}, "must be Unix milliseconds as an int"),
    ],
)
def test_what_could_not_be_read_again_is_refused(values: dict[str, Any], complaint: str) -> None:
    with pytest.raises(InvalidMessageError, match=complaint):
        encode(message(**values), LIMIT)


def test_data_nested_too_deeply_is_refused() -> None:
    data = too_deep()
    with pytest.raises(InvalidMessageError, match="cannot be written as JSON"):
        encode(message(message_data=data), LIMIT)
    while data:  # from the outside in: the interpreter's own way to free it would be as deep
        data = data["a"]


@pytest.mark.parametrize(
    "stored", [b"", b"{", b"null", b"5", b"[]", b"{}", b"\xff\xfe", b'{"id": 5}', b"\x00"]
)
def test_what_is_not_a_message_is_decoded_as_none(stored: bytes) -> None:
    assert decode(stored) is None


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"instance_name": ""}, "instance_name is empty"),
        ({"instance_name": " \n"}, "instance_name is empty"),
        ({"user_phone": ""}, "user_phone is empty"),
        ({"user_phone": "\t"}, "user_phone is empty"),
        ({"user_phone": 966}, "user_phone is 966, must be a str"),
        ({"instance_name": None}, "instance_name is None, must be a str"),
        ({"id": 7}, "id is 7, must be a str"),
        ({"id": "x" * (NAME_BYTES_MAX + 1)}, "id is longer than 512 bytes"),
        ({"user_phone": "é" * (NAME_BYTES_MAX // 2 + 1)}, "user_phone is longer than 512 bytes"),
    ],
)
def test_names_that_cannot_make_a_key_are_refused(values: dict[str, Any], complaint: str) -> None:
    with pytest.raises(InvalidMessageError, match=complaint):
        check_names(message(**values))


def test_names_up_to_the_limit_and_an_empty_id_are_taken() -> None:
    check_names(message(id="", user_phone="é" * (NAME_BYTES_MAX // 2), instance_name="x" * NAME_BYTES_MAX))


def test_the_text_of_a_batch_has_a_line_for_each_message_with_words() -> None:
    batch = Batch(
        instance_name="bot",
        user_phone="1",
        messages=(
            message(id="a", message="one"),
            message(id="b", message=""),
            message(id="c", message="three"),
        ),
        token=1,
        processor_id="p",
        attempt=1,
        trigger="window",
        due_at_ms=0,
        claimed_at_ms=0,
    )
    assert batch.text == "one\nthree"
    assert batch.ids == ("a", "b", "c")


def test_whatever_can_be_stored_can_be_read_with_a_deep_stack_too() -> None:
    def at_depth(depth: int) -> QueueMessage | None:
        return decode(stored) if depth == 0 else at_depth(depth - 1)

    data: dict[str, Any] = {}
    for _ in range(DEPTH_MAX - 1):
        data = {"a": data}
    stored = encode(message(message_data=data), 10_000)
    assert at_depth(400) is not None
    with pytest.raises(InvalidMessageError, match="nested more than 100 levels"):
        encode(message(message_data={"a": data}), 10_000)
    wide: dict[str, Any] = {"a": [{}] * (DEPTH_MAX + 1)}
    assert decode(encode(message(message_data=wide), 10_000)) is not None


def test_a_value_that_is_nested_too_deep_for_python_is_not_a_message() -> None:
    stored = b'{"instanceName":"b","userPhone":"p","message":"","messageData":' + b'{"a":' * 5_000
    assert decode(stored + b"1" + b"}" * 5_001) is None


def test_no_search_for_garbage_looks_at_what_a_turn_is_made_of() -> None:
    """These objects are in no cycles, and live as long as a turn: searches would see each of them twice or more."""
    place = KeySpace("wa", 1).of("bot", "1")
    batch = Batch(
        instance_name="bot",
        user_phone="1",
        messages=(message(message_data={"a": []}),),
        token=1,
        processor_id="p",
        attempt=1,
        trigger="window",
        due_at_ms=1,
        claimed_at_ms=1,
    )
    complete = scripts.Complete(
        place=place, rules=QueueSettings(), now_ms="", token=1, completed_ttl_ms=1, stats_ttl_ms=1
    )
    for made in (place, place.seen_of("m1"), batch, *batch.messages, complete):
        assert not gc.is_tracked(made), type(made).__name__
