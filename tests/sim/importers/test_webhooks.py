"""Webhooks: replies, edits, presence, times and zones; the same is skipped as in live traffic."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from queue_core.channels.cloud.parser import parse_cloud
from queue_core.channels.evolution.parser import parse_evolution
from queue_core.recording.format import Delete, Edit, Presence, Recording, Reply
from sim.audit.audit import audit
from sim.audit.fates import Limits
from sim.commands.import_options import parse_zone
from sim.importers.base import ImportFailedError
from tests.sim.importers.writers import Importing, iso

PHONE = "5547900000001"
UNIX_S = 1_746_132_673  # 2025-05-01T20:51:13Z


def upsert(
    message_id: str = "M1", *, own: bool = False, chat: str = f"{PHONE}@s.whatsapp.net", **fields: Any
) -> dict[str, Any]:
    data = {
        "key": {"remoteJid": chat, "fromMe": own, "id": message_id},
        "pushName": "Ana",
        "message": {"conversation": "oi"},
        "messageTimestamp": UNIX_S,
    }
    return {
        "event": "messages.upsert",
        "instance": "shop",
        "data": {**data, **fields.pop("data", {})},
        **fields,
    }


def cloud(*messages: dict[str, Any], **value: Any) -> dict[str, Any]:
    metadata = {"display_phone_number": "15550000000", "phone_number_id": "1234567890"}
    change = {
        "field": value.pop("field", "messages"),
        "value": {"metadata": metadata, "messages": list(messages), **value},
    }
    return {"object": "whatsapp_business_account", "entry": [{"id": "1", "changes": [change]}]}


def text(message_id: str, **fields: Any) -> dict[str, Any]:
    return {
        "from": PHONE,
        "id": message_id,
        "timestamp": str(UNIX_S),
        "type": "text",
        "text": {"body": "oi"},
        **fields,
    }


@pytest.fixture
def dump(tmp_path: Path) -> Any:
    """Write bodies, a line each; texts are written as they are."""

    def write(*bodies: dict[str, Any] | str, name: str = "dump.log") -> Path:
        path = tmp_path / name
        lines = (body if isinstance(body, str) else json.dumps(body) for body in bodies)
        path.write_text("".join(f"{line}\n" for line in lines), "utf-8")
        return path

    return write


def others(recording: Recording, kind: type) -> list[Any]:
    return [event for event in recording.others if isinstance(event, kind)]


def test_own_messages_are_replies_of_the_same_conversation(dump: Any, imported: Importing) -> None:
    recording, work = imported(
        dump(
            upsert("M1"),
            upsert("M2", own=True, data={"source": "android"}),
            upsert("M3", own=True, data={"source": "web"}),
            upsert("M4", own=True, event="send.message"),
        )
    )
    (message,) = recording.arrivals
    replies = others(recording, Reply)
    assert {(reply.instance, reply.phone) for reply in replies} == {(message.instance, message.phone)}
    assert [reply.who for reply in replies] == ["human", "", "bot"]
    assert [reply.characters for reply in replies] == [2, 2, 2]
    assert not work.summary.left_out


def test_a_reply_that_is_reported_twice_counts_once(dump: Any, imported: Importing) -> None:
    recording, work = imported(
        dump(upsert(), upsert("M2", own=True), upsert("M2", own=True, event="SEND_MESSAGE"))
    )
    assert len(recording.others) == 1
    assert work.summary.left_out == {"another report of a reply": 1}


UNKNOWN = upsert("M2", own=True, data={"source": "unknown"})
BY_THE_BOT = upsert("M2", own=True, event="send.message")


@pytest.mark.parametrize("reports", [(UNKNOWN, BY_THE_BOT), (BY_THE_BOT, UNKNOWN)])
def test_any_report_of_a_reply_may_say_who_wrote_it(dump: Any, imported: Importing, reports: Any) -> None:
    later = upsert("M3", own=True, data={"source": "android", "messageTimestamp": UNIX_S + 9})
    path = dump(upsert(), *reports, UNKNOWN, later)
    for options in ({}, {"keeps_seconds": True}):
        recording, work = imported(path, **options)
        assert [reply.who for reply in others(recording, Reply)] == ["bot", "human"]
        assert work.summary.left_out == {"another report of a reply": 2}
        total = audit([recording], Limits())["total"]
        assert (total["by_bot"], total["by_human"], total["by_unknown"]) == (1, 0, 0)


def test_another_file_may_say_who_wrote_a_reply(dump: Any, imported: Importing) -> None:
    paths = dump(upsert(), UNKNOWN, name="messages-upsert.log"), dump(BY_THE_BOT, name="send-message.log")
    assert [reply.who for reply in others(imported(*paths)[0], Reply)] == ["bot"]


def test_a_reply_waits_for_its_writer_while_it_is_remembered(
    dump: Any, imported: Importing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sim.importers.replies.REPLIES_REMEMBERED", 2)
    own = [upsert(f"R{number}", own=True) for number in range(4)]
    events = list(imported(dump(upsert(), *own))[1].events())
    assert len(events) == 5


def test_a_status_and_an_echo_of_one_reply_count_once(dump: Any, imported: Importing) -> None:
    """The Cloud API's status does not say who wrote a reply; an echo of the WhatsApp Business app does."""
    status = {"id": "wamid.R", "status": "sent", "timestamp": str(UNIX_S), "recipient_id": PHONE}
    echo = {**text("wamid.R"), "from": "15550000000", "to": PHONE}
    bodies = [cloud(statuses=[status]), cloud(field="smb_message_echoes", message_echoes=[echo])]
    for reports in (bodies, bodies[::-1]):
        recording, _ = imported(dump(cloud(text("wamid.A")), *reports))
        assert [reply.who for reply in others(recording, Reply)] == ["human"]


def test_own_messages_to_a_hidden_number_belong_to_its_phone(dump: Any, imported: Importing) -> None:
    """The other addresses in the key of an own message are the bot's."""
    key = {
        "remoteJid": "99887766@lid",
        "remoteJidAlt": f"{PHONE}@s.whatsapp.net",
        "senderPn": "15550000000@s.whatsapp.net",
    }
    recording, _ = imported(dump(upsert(), upsert(data={"key": {**key, "fromMe": True, "id": "M2"}})))
    assert others(recording, Reply)[0].phone == recording.arrivals[0].phone


def test_replies_of_waha_and_evolution_go_belong_to_the_users_conversation(
    dump: Any, imported: Importing
) -> None:
    payload = {
        "id": f"false_{PHONE}@c.us_A1",
        "timestamp": UNIX_S,
        "from": f"{PHONE}@c.us",
        "fromMe": False,
        "body": "oi",
    }
    answer = {
        **payload,
        "id": f"true_{PHONE}@c.us_A2",
        "from": "15550000000@c.us",
        "to": f"{PHONE}@c.us",
        "fromMe": True,
    }
    waha = [
        {"event": "message", "session": "shop", "payload": payload},
        {"event": "message.any", "session": "shop", "payload": {**answer, "source": "api"}},
    ]
    info = {
        "Chat": f"{PHONE}@s.whatsapp.net",
        "Sender": f"{PHONE}@s.whatsapp.net",
        "ID": "G1",
        "Timestamp": "2025-05-01T20:51:13Z",
    }
    go = [
        {
            "event": "Message",
            "instanceName": "shop",
            "data": {"Info": info, "Message": {"conversation": "oi"}},
        },
        {
            "event": "SendMessage",
            "instanceName": "shop",
            "data": {
                "Info": {**info, "Sender": "15550000000@s.whatsapp.net", "IsFromMe": True, "ID": "G2"},
                "Message": {"conversation": "oi"},
            },
        },
    ]
    recording, work = imported(dump(*waha, *go))
    conversations = {(arrival.instance, arrival.phone) for arrival in recording.arrivals}
    assert conversations == {(reply.instance, reply.phone) for reply in others(recording, Reply)}
    assert len(conversations) == 1
    assert [reply.who for reply in others(recording, Reply)] == ["bot", "bot"]
    assert not work.summary.left_out


def test_statuses_of_the_cloud_api_show_replies(dump: Any, imported: Importing) -> None:
    """The Cloud API sends no copy of own messages; three statuses are one reply."""
    states = [
        {"id": "wamid.R", "status": status, "timestamp": str(UNIX_S + after_s), "recipient_id": PHONE}
        for after_s, status in enumerate(("sent", "delivered", "read"))
    ]
    failed = {"id": "wamid.F", "status": "failed", "timestamp": str(UNIX_S), "recipient_id": PHONE}
    echo = {
        "from": "15550000000",
        "to": PHONE,
        "id": "wamid.E",
        "timestamp": str(UNIX_S + 9),
        "type": "text",
        "text": {"body": "ok"},
    }
    recording, work = imported(
        dump(
            cloud(text("wamid.A"), text("wamid.B", **{"from": "5547900000002"})),
            *(cloud(statuses=[state]) for state in states),
            cloud(statuses=[failed]),
            cloud(field="smb_message_echoes", message_echoes=[echo]),
        ),
        keeps_seconds=True,
    )
    assert len(recording.arrivals) == 2
    first, second = others(recording, Reply)
    assert (first.who, second.who, second.characters) == ("", "human", 2)
    assert recording.epoch_ms + first.at == UNIX_S * 1000
    assert first.phone == recording.arrivals[0].phone
    assert work.summary.left_out == {
        "another report of a reply": 2,
        "not a message of a user: failed delivery": 1,
    }


def test_an_edit_and_a_deletion_are_each_a_message_and_an_event(dump: Any, imported: Importing) -> None:
    revoke = {"protocolMessage": {"key": {"id": "M1"}, "type": "REVOKE"}}
    edited = {
        "editedMessage": {
            "message": {
                "protocolMessage": {
                    "key": {"id": "M1"},
                    "type": "MESSAGE_EDIT",
                    "editedMessage": {"conversation": "hello"},
                }
            }
        }
    }
    recording, _ = imported(
        dump(upsert(), upsert("M2", data={"message": edited}), upsert("M3", data={"message": revoke}))
    )
    first, second, third = recording.arrivals
    (edit,) = others(recording, Edit)
    (deletion,) = others(recording, Delete)
    assert (edit.id, edit.by) == (first.id, second.id)
    assert edit.characters
    assert (deletion.id, deletion.by) == (first.id, third.id)


def test_presence_is_an_event_of_the_users_conversation(dump: Any, imported: Importing) -> None:
    jid = f"{PHONE}@s.whatsapp.net"
    typing = {
        "event": "presence.update",
        "instance": "shop",
        "data": {"id": jid, "presences": {jid: {"lastKnownPresence": "composing"}}},
        "date_time": "2025-05-01T20:51:12.500Z",
    }
    recording, _ = imported(dump(upsert(date_time="2025-05-01T20:51:13.100Z"), typing))
    (presence,) = others(recording, Presence)
    assert (presence.state, presence.at, presence.phone) == ("composing", -600, recording.arrivals[0].phone)


def test_skipped_things_are_counted_as_live_traffic_counts_them(dump: Any, imported: Importing) -> None:
    skipped = [
        upsert(chat="1203630@g.us"),
        upsert(chat="status@broadcast"),
        upsert(chat="1203630@newsletter"),
        upsert(data={"message": {"albumMessage": {"expectedImageCount": 2}}}),
        upsert(own=True, chat="1203630@g.us"),
        {"event": "connection.update", "instance": "shop", "data": {"state": "open"}},
        {"event": "messages.update", "instance": "shop", "data": {"keyId": "x", "status": "READ"}},
    ]
    recording, work = imported(dump(upsert(), *skipped))
    assert len(recording.arrivals) == 1
    expected: dict[str, int] = {}
    for body in skipped:
        for name, count in parse_evolution(body, media_bytes_max=100).skipped.items():
            expected[name] = expected.get(name, 0) + count
    assert work.summary.left_out == {
        f"not a message of a user: {name}": count for name, count in expected.items()
    }


def test_a_body_with_a_thousand_updates_is_a_thousand_messages(dump: Any, imported: Importing) -> None:
    messages = [text(f"wamid.{number}", **{"from": f"55479000{number:05d}"}) for number in range(1000)]
    recording, _ = imported(dump(cloud(*messages)))
    assert len({arrival.phone for arrival in recording.arrivals}) == 1000
    assert len(parse_cloud(cloud(*messages), media_bytes_max=100).messages) == 1000


@pytest.mark.parametrize(("hours", "words"), [(-3, "UTC-03:00"), (0, "UTC"), (5.75, "UTC+05:45")])
def test_the_zone_of_date_time_is_found_by_evidence(
    hours: float, words: str, dump: Any, imported: Importing
) -> None:
    local = iso(UNIX_S * 1000 + 700 + int(hours * 3600_000))
    recording, work = imported(dump(upsert(date_time=local)))
    assert recording.epoch_ms == UNIX_S * 1000 + 700
    assert list(work.summary.files[0].notes) == [
        f"date_time is taken as {words}, by the provider's times beside it."
    ]


def test_two_zones_in_one_file_are_told_apart(dump: Any, imported: Importing) -> None:
    """Servers in two zones take turns; the message that comes 20 minutes late says nothing of a zone."""
    bodies = []
    for number in range(40):
        at_ms = (UNIX_S + number * 60) * 1000
        offset_ms = -3 * 3600_000 if number % 2 else 0
        late_ms = 20 * 60_000 + 400_000 if number == 30 else 250
        bodies.append(
            upsert(
                f"M{number}",
                data={"messageTimestamp": at_ms // 1000},
                date_time=iso(at_ms + offset_ms + late_ms),
            )
        )
    recording, work = imported(dump(*bodies))
    delays = [arrival.at_ms - arrival.timestamp_ms for arrival in recording.arrivals]
    assert sum(delay == 250 for delay in delays) >= 36
    assert any("more than one time zone" in note for note in work.summary.files[0].notes)


def test_a_zone_that_few_messages_show_is_named(dump: Any, imported: Importing) -> None:
    bodies = [
        upsert(
            f"M{hours}",
            data={"messageTimestamp": UNIX_S},
            date_time=iso((UNIX_S + hours * 3600) * 1000),
        )
        for hours in (-6, -3)
    ]
    _, work = imported(dump(*bodies))
    assert any("some messages fits UTC-03:00 too" in note for note in work.summary.files[0].notes)


def test_a_large_picture_in_the_first_line_is_imported(dump: Any, imported: Importing) -> None:
    picture = {"imageMessage": {"caption": "look", "jpegThumbnail": "A" * 400_000}, "base64": "B" * 400_000}
    recording, _ = imported(dump(upsert("M1", data={"message": picture}), upsert("M2")))
    assert [arrival.kind for arrival in recording.arrivals] == ["image", "text"]


def test_files_of_one_import_know_of_each_other(dump: Any, imported: Importing) -> None:
    """A body a file: three statuses are one reply, and a late message has the zone of the file before."""
    states = [
        cloud(statuses=[{"id": "wamid.R", "status": status, "timestamp": str(UNIX_S), "recipient_id": PHONE}])
        for status in ("sent", "delivered", "read")
    ]
    late = upsert("M2", date_time=iso((UNIX_S - 3 * 3600 + 1200) * 1000))
    bodies = [upsert("M1", date_time=iso((UNIX_S - 3 * 3600) * 1000 + 9)), late, *states]
    recording, _ = imported(*(dump(body, name=f"{number}.json") for number, body in enumerate(bodies)))
    assert len(others(recording, Reply)) == 1
    assert recording.arrivals[1].at_ms - recording.arrivals[1].timestamp_ms == 1200_000


def test_a_zone_that_is_given_wins_over_evidence(dump: Any, imported: Importing) -> None:
    path = dump(upsert(date_time="2025-05-01T17:51:13.700Z"))
    assert imported(path, zone=parse_zone("America/Sao_Paulo"))[0].epoch_ms == UNIX_S * 1000 + 700
    assert imported(path, zone=parse_zone("+02:00"))[0].epoch_ms == (UNIX_S - 5 * 3600) * 1000 + 700


def test_a_zone_that_contradicts_the_provider_is_noted(dump: Any, imported: Importing) -> None:
    """A zone to the east shows at the first message; one to the west could be a delay, so three must agree."""
    bodies = [
        upsert(f"M{number}", data={"messageTimestamp": UNIX_S}, date_time=iso(UNIX_S * 1000 + 250))
        for number in range(3)
    ]

    def notes(zone: str, number: int) -> list[str]:
        _, work = imported(dump(*bodies[:number]), zone=parse_zone(zone))
        return [
            note for note in work.summary.files[0].notes if "the provider's times beside it show UTC." in note
        ]

    assert [len(notes(zone, 1)) for zone in ("+03:00", "-03:00", "UTC")] == [1, 0, 0]
    assert [len(notes(zone, 3)) for zone in ("+03:00", "-03:00", "UTC")] == [1, 1, 0]


def test_parts_of_webhooks_that_were_logged_alone_are_imported(dump: Any, imported: Importing) -> None:
    value = cloud(text("wamid.A"))["entry"][0]["changes"][0]["value"]
    value = {"messaging_product": "whatsapp", **value}
    recording, _ = imported(dump(upsert()["data"], value), instance="")
    assert len(recording.arrivals) == 2
    assert recording.arrivals[0].instance == "bot"


def test_an_instance_can_be_chosen(dump: Any, imported: Importing) -> None:
    recording, work = imported(dump(upsert("M1"), {**upsert("M2"), "instance": "other"}), instance="shop")
    assert len(recording.arrivals) == 1
    assert work.summary.left_out == {"of another instance than --instance": 1}


def test_a_message_without_any_time_is_left_out(dump: Any, imported: Importing) -> None:
    recording, work = imported(dump(upsert(), upsert("M2", data={"messageTimestamp": None})))
    assert len(recording.arrivals) == 1
    assert work.summary.left_out == {"a message without a time": 1}


def test_messages_without_an_id_are_each_a_new_one(dump: Any, imported: Importing) -> None:
    recording, _ = imported(dump(upsert(""), upsert("")))
    assert len({arrival.id for arrival in recording.arrivals}) == 2


def test_a_file_of_other_events_says_what_it_was_read_as(dump: Any, imported: Importing) -> None:
    path = dump({"event": "connection.update", "instance": "shop", "data": {"state": "open"}})
    with pytest.raises(
        ImportFailedError, match=r"holds no message \(read as webhooks, since .*--format changes that\)"
    ):
        imported(path)


def test_a_file_of_replies_alone_says_so(dump: Any, imported: Importing) -> None:
    own = [upsert(name, own=True, event="send.message") for name in ("M1", "M2")]
    with pytest.raises(ImportFailedError, match=r"holds no message, but 2 replies \(read as webhooks"):
        imported(dump(*own))


@pytest.mark.parametrize(
    ("logged", "expected_ms", "precision"),
    [
        ("2025-05-01T20:51:15Z", UNIX_S * 1000 + 2_250, "ms"),  # of one arrival: the finer time
        ("2025-05-01T20:51:18Z", UNIX_S * 1000 + 2_250, "ms"),
        (
            "2025-05-01T20:51:19Z",
            UNIX_S * 1000 + 6_000,
            "s",
        ),  # delivered again: the webhook keeps its old time
        ("2025-05-01T20:57:15Z", UNIX_S * 1000 + 362_000, "s"),
        ("2025-05-01T20:57:15.500Z", UNIX_S * 1000 + 362_500, "ms"),
    ],
)
def test_the_webhooks_finer_time_counts_where_it_is_near_the_logged_time(
    tmp_path: Path, imported: Importing, logged: str, expected_ms: int, precision: str
) -> None:
    body = json.dumps(upsert(date_time="2025-05-01T17:51:15.250Z"))
    (tmp_path / "dump.log").write_text(f"{logged} {body}\n")
    recording, _ = imported(tmp_path / "dump.log", keeps_seconds=True)
    assert (recording.epoch_ms, recording.precision) == (expected_ms, precision)


def test_a_log_whose_clock_was_wrong_gives_no_times(tmp_path: Path, imported: Importing) -> None:
    """Nothing arrives minutes before it was sent; clocks may differ by seconds."""
    body = json.dumps(upsert(date_time=None))
    for early_s, expected_ms in ((301, UNIX_S * 1000), (20, (UNIX_S - 20) * 1000 + 250)):
        path = tmp_path / f"{early_s}.log"
        path.write_text(f"{iso((UNIX_S - early_s) * 1000 + 250)} {body}\n")
        recording, work = imported(path)
        assert recording.epoch_ms // 1000 == expected_ms // 1000
        has_note = any("clock was wrong" in note for note in work.summary.files[0].notes)
        assert has_note is (early_s == 301)
