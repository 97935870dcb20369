"""Keys: no name can reach into another's, and every key of a conversation lies in its partition's slot."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.crc import key_slot

from queue_core.keys import KeySpace, decode_conversation, encode_name

anything = st.text(st.characters(), min_size=1, max_size=30)  # lone surrogates included
hostile = st.text(st.sampled_from(":{}%\0\n\r *?[]\\é/\ud800"), min_size=1, max_size=6)
names = st.one_of(anything, hostile)


@pytest.mark.parametrize(
    ("name", "encoded"),
    [
        ("966500000000", "966500000000"),
        ("+44", "+44"),
        ("a@s.whatsapp.net", "a@s.whatsapp.net"),
        ("a:b", "a%3Ab"),
        ("{0}", "%7B0%7D"),
        ("%3A", "%253A"),
        ("a b\n", "a%20b%0A"),
        ("متجر", "%D9%85%D8%AA%D8%AC%D8%B1"),
        ("\ud800", "%ED%A0%80"),
    ],
)
def test_names_are_percent_encoded(name: str, encoded: str) -> None:
    assert encode_name(name) == encoded


@given(name=names)
def test_an_encoded_name_is_harmless_in_a_key(name: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_.~@+%-]+", encode_name(name))


@given(instance=names, phone=names)
def test_a_conversation_decodes_to_its_names(instance: str, phone: str) -> None:
    keys = KeySpace("wa", 4).of(instance, phone)
    assert decode_conversation(keys.conversation) == (instance, phone)


@given(first=st.tuples(names, names, names), second=st.tuples(names, names, names))
def test_different_messages_never_share_a_key(
    first: tuple[str, str, str], second: tuple[str, str, str]
) -> None:
    space = KeySpace("wa", 1)
    left, right = (space.of(*it[:2]).seen_of(it[2]) for it in (first, second))
    assert (left.old == right.old) == (left.fingerprint == right.fingerprint) == (first == second)
    assert (space.of(*first[:2]).queue == space.of(*second[:2]).queue) == (first[:2] == second[:2])


@given(instance=names, phone=names, message_id=names, processor_id=names)
def test_all_keys_of_a_script_lie_in_one_slot(
    instance: str, phone: str, message_id: str, processor_id: str
) -> None:
    space = KeySpace("wa", 8)
    keys = space.of(instance, phone)
    shared = space.partitions[keys.partition]
    every = [keys.queue, keys.lock, keys.reply, keys.stats, keys.completed, keys.seen_of(message_id).old]
    every += [shared.active, shared.wake, shared.token, shared.dead, shared.last_claim_of(processor_id)]
    assert len({key_slot(key.encode()) for key in every}) == 1
    assert len(set(every)) == len(every)
    assert all(key.startswith(shared.base) for key in every)


def test_conversations_spread_over_partitions_and_stay_there() -> None:
    space = KeySpace("wa", 8)
    counts = [0] * 8
    for number in range(8_000):
        counts[space.of("bot", str(number)).partition] += 1
    assert min(counts) > 800
    assert KeySpace("wa", 8).of("bot", "17") == space.of("bot", "17")


def test_the_keys_have_the_names_people_look_for() -> None:
    keys = KeySpace("wa", 1).of("bot", "966")
    shared = KeySpace("wa", 1).partitions[0]
    assert keys.queue == "wa:{0}:msg_queue:bot:966"
    assert keys.lock == "wa:{0}:processing_lock:bot:966"
    assert keys.stats == "wa:{0}:queue_stats:bot:966"
    assert shared.active == "wa:{0}:active_queues"
    assert shared.dead == "wa:{0}:dead_letters"
