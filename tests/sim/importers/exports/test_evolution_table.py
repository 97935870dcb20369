"""The Evolution API's table of messages: CSV, JSON, dumps of PostgreSQL, MongoDB."""

from __future__ import annotations

import csv
import io
import json
import re
from typing import Any

import pytest

from sim.importers.base import ImportFailedError
from sim.importers.detection import detect, unknown_format
from sim.importers.formats.evolution_table import OTHER_TABLE, WITHOUT_KEY, EvolutionTable
from sim.importers.formats.tables.rows import CUT_ROW, NO_NAMES
from tests.sim.importers.exports.reading import Outcome, detected, imported, source_of

INSTANCE = "7c1d0a52-0000-4000-8000-000000000001"
COLUMNS = (
    "id", "key", "pushName", "participant", "messageType", "message", "contextInfo", "source", "messageTimestamp",
    "chatwootMessageId", "instanceId", "webhookUrl", "sessionId", "status",
)  # fmt: skip
SECONDS = 1740831320


def row(
    text: str, *, number: int = 1, own: bool = False, jid: str = "5547911112222@s.whatsapp.net"
) -> dict[str, Any]:
    return {
        "id": f"cm{number}",
        "key": {"id": f"A{number}", "fromMe": own, "remoteJid": jid},
        "pushName": "Rita",
        "participant": None,
        "messageType": "conversation",
        "message": {"conversation": text},
        "contextInfo": None,
        "source": "web" if own else "android",
        "messageTimestamp": SECONDS + number,
        "chatwootMessageId": None,
        "instanceId": INSTANCE,
        "webhookUrl": None,
        "sessionId": None,
        "status": "DELIVERY_ACK",
    }


ROWS = [
    row('uma "citação",\ne outra linha \\ barra\ttab', number=1),
    row("segunda", number=2),
    row("resposta", number=3, own=True),
    row("de um grupo", number=4, jid="1203630@g.us"),
]


def as_csv(rows: list[dict[str, Any]], delimiter: str = ",") -> str:
    file = io.StringIO()
    writer = csv.writer(file, delimiter=delimiter)
    writer.writerow(COLUMNS)
    for each in rows:
        writer.writerow([json.dumps(value) if isinstance(value, dict) else value for value in each.values()])
    return file.getvalue()


def as_copy(rows: list[dict[str, Any]]) -> str:
    def value(written: Any) -> str:
        if written is None:
            return r"\N"
        text = json.dumps(written, ensure_ascii=False) if isinstance(written, dict) else str(written)
        return text.replace("\\", r"\\").replace("\t", r"\t").replace("\n", r"\n")

    names = ", ".join(f'"{name}"' if name != name.lower() else name for name in COLUMNS)
    lines = ["\t".join(value(part) for part in each.values()) for each in rows]
    return (
        "--\n-- PostgreSQL database dump\n--\n\nSET statement_timeout = 0;\n\n"
        'CREATE TABLE public."Message" (\n    id text NOT NULL,\n    key jsonb NOT NULL,\n    CONSTRAINT x CHECK (true)\n);\n\n'
        'COPY public."Instance" (id, name, "ownerJid", token) FROM stdin;\n'
        f"{INSTANCE}\tloja\t5547@s.whatsapp.net\tSECRET\n\\.\n\n"
        f'COPY public."Message" ({names}) FROM stdin;\n' + "\n".join(lines) + "\n\\.\n\n"
        "-- PostgreSQL database dump complete\n"
    )


def as_insert(rows: list[dict[str, Any]]) -> str:
    def value(written: Any) -> str:
        if written is None:
            return "NULL"
        if isinstance(written, int):
            return str(written)
        text = json.dumps(written, ensure_ascii=False) if isinstance(written, dict) else written
        return "'" + text.replace("'", "''") + "'"

    names = ", ".join(f'"{name}"' for name in COLUMNS)
    lines = ["(" + ", ".join(value(part) for part in each.values()) + ")" for each in rows]
    return f'INSERT INTO public."Message" ({names}) VALUES\n\t ' + ",\n\t ".join(lines) + ";\n"


def read(content: str, **given: Any) -> Outcome:
    return imported(EvolutionTable(), content, **given)


def as_mysql(rows: list[dict[str, Any]]) -> str:
    def value(written: Any) -> str:
        if written is None:
            return "NULL"
        if isinstance(written, int):
            return str(written)
        text = json.dumps(written, ensure_ascii=False) if isinstance(written, dict) else written
        return (
            "'"
            + text.replace("\\", "\\\\").replace("'", "\\'").replace('"', '\\"').replace("\n", "\\n")
            + "'"
        )

    columns = "".join(f"  `{name}` varchar(100) NOT NULL,\n" for name in COLUMNS)
    lines = ",".join("(" + ",".join(value(part) for part in each.values()) + ")" for each in rows)
    return f"-- MySQL dump 10.13\nCREATE TABLE `Message` (\n{columns}  PRIMARY KEY (`id`)\n) ENGINE=InnoDB;\nINSERT INTO `Message` VALUES {lines};\n"


def as_pandas(rows: list[dict[str, Any]]) -> str:
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(COLUMNS)
    for each in rows:
        writer.writerow([f"{value}.0" if isinstance(value, int) else value for value in each.values()])
    return file.getvalue()


FORMATS = {
    "csv": as_csv(ROWS),
    "semicolons": as_csv(ROWS, ";"),
    "with a byte order mark and CRLF": "\ufeff" + as_csv(ROWS).replace("\r\n", "\n").replace("\n", "\r\n"),
    "json": json.dumps(ROWS, indent=1),
    "json lines": "".join(json.dumps(each) + "\n" for each in ROWS),
    "the API's answer": json.dumps({"messages": {"total": 4, "pages": 1, "currentPage": 1, "records": ROWS}}),
    "psql's JSON, its columns as texts": json.dumps(
        [{**each, "key": json.dumps(each["key"]), "message": json.dumps(each["message"])} for each in ROWS]
    ),
    "COPY": as_copy(ROWS),
    "INSERT": as_insert(ROWS),
    "a dump of MySQL": as_mysql(ROWS),
    "CSV of a program in Python": as_pandas(ROWS),
    "DBeaver": json.dumps({'select * from "Message"': ROWS}),
}


@pytest.mark.parametrize("name", FORMATS)
def test_rows_become_messages_and_replies(name: str) -> None:
    outcome = read(FORMATS[name])
    text = ROWS[0]["message"]["conversation"]
    if "CRLF" in name:
        text = outcome.messages[0].text
    assert [message.text for message in outcome.messages] == [text, "segunda"]
    assert [message.id for message in outcome.messages] == ["A1", "A2"]
    assert {message.phone for message in outcome.messages} == {"5547911112222"}
    assert [message.at for message in outcome.messages] == [(SECONDS + 1) * 1000, (SECONDS + 2) * 1000]
    assert [(reply.text, reply.id) for reply in outcome.replies] == [("resposta", "A3")]
    assert outcome.precisions == {"s"}
    assert {message.instance for message in outcome.messages} == {"loja" if name == "COPY" else INSTANCE}
    assert any("group" in reason for reason in outcome.omitted)


@pytest.mark.parametrize("name", FORMATS)
def test_each_form_is_recognised(name: str) -> None:
    assert detected(FORMATS[name])[0] == "evolution-table"


def test_a_dump_that_does_not_name_its_columns_says_so_and_how_to_name_them() -> None:
    bare = re.sub(r"CREATE TABLE.*?;\n", "", as_mysql(ROWS), flags=re.DOTALL)
    sample = source_of(bare, "dump.sql").sample()
    assert detect(sample) is None
    assert str(unknown_format(sample)) == (
        "dump.sql: is a dump whose INSERT into 'Message' does not name the columns, and no CREATE TABLE before it does; "
        "dump again with the names: mysqldump --complete-insert, or pg_dump --column-inserts"
    )
    assert read(bare).omitted == {NO_NAMES: len(ROWS)}
    names = ", ".join(f"`{name}`" for name in COLUMNS)
    complete = bare.replace("INTO `Message` VALUES", f"INTO `Message` ({names}) VALUES")
    assert detected(complete)[0] == "evolution-table"
    assert read(complete).messages == read(as_mysql(ROWS)).messages


def test_rows_of_other_tables_are_counted_and_tokens_stay_out() -> None:
    other = 'COPY public."Contact" (id, "pushName") FROM stdin;\nc1\tAna\n\\.\n\n'
    outcome = read(as_copy(ROWS) + other)
    assert outcome.omitted[OTHER_TABLE] == 1  # the row of Instance is used
    assert "SECRET" not in repr(outcome)


def test_rows_of_mongodb_are_read() -> None:
    """Version 1 kept its messages in MongoDB; mongoexport writes long numbers as objects."""
    stored = {
        "_id": {"$oid": "65f0"},
        "key": {"remoteJid": "5547911112222@s.whatsapp.net", "fromMe": False, "id": "A1"},
        "pushName": "Rita",
        "message": {"extendedTextMessage": {"text": "da versão 1"}},
        "messageType": "extendedTextMessage",
        "messageTimestamp": {"$numberLong": str(SECONDS)},
        "owner": "loja",
    }
    outcome = read(json.dumps(stored) + "\n")
    assert [(message.text, message.instance, message.at) for message in outcome.messages] == [
        ("da versão 1", "loja", SECONDS * 1000)
    ]
    assert detected(json.dumps(stored) + "\n")[0] == "evolution-table"


def test_a_key_in_parts_is_read() -> None:
    content = 'keyId,keyRemoteJid,keyFromMe,pushName,messageType,content,messageTimestamp\nA1,5547911112222@s.whatsapp.net,f,Rita,conversation,"{""conversation"":""oi""}",1740831320\n'
    assert [message.text for message in read(content).messages] == ["oi"]


def test_broken_rows_are_counted() -> None:
    content = (
        as_csv(ROWS[:2])
        + "cm9,only two\r\n"
        + as_csv([row("x", number=5)]).split("\r\n", 1)[1].replace("remoteJid", "r")
    )
    outcome = read(content)
    assert len(outcome.messages) == 2
    assert outcome.omitted == {CUT_ROW: 1, WITHOUT_KEY: 1}


def test_a_table_without_keys_is_refused_in_words() -> None:
    with pytest.raises(ImportFailedError, match="export the table Message with the names"):
        read("id,pushName\n1,Rita\n2,Ana\n")
