"""Cards of contacts, as phones write them."""

from __future__ import annotations

from typing import Any

import pytest

from queue_core.channels.vcard import read_vcard


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["FN:Dr. Huda", "TEL;type=CELL;waid=9665:+966 5"], {"name": "Dr. Huda", "phones": ["+966 5"]}),
        (["N:Haddad;Omar;;;"], {"name": "Omar Haddad"}),
        (["N:Haddad;Omar"], {"name": "Omar Haddad"}),
        (["N:Silva;Ana;Maria;Dr.;PhD"], {"name": "Dr. Ana Maria Silva PhD"}),
        (["N:Silva\\;Co;Ana;;;", "ORG:A\\;B;Sales"], {"name": "Ana Silva;Co", "organisation": "A;B Sales"}),
        (
            ["FN:Shop", "item1.TEL:+1", "item2.TEL:+2", "item1.X-ABLabel:Work"],
            {"name": "Shop", "phones": ["+1", "+2"]},
        ),
        (["FN:A", "TEL:+1", "TEL;waid=1:+1"], {"name": "A", "phones": ["+1"]}),
        (
            ["FN:A", "EMAIL;type=WORK:a@b.example", "ORG:Shop;"],
            {"name": "A", "emails": ["a@b.example"], "organisation": "Shop"},
        ),
        (["FN:Haddad\\, Omar", "PHOTO;ENCODING=b:AAAA"], {"name": "Haddad, Omar"}),
        (["FN:عمر"], {"name": "عمر"}),
        ([], {}),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_card_is_read(lines: list[str], expected: dict[str, Any], end: str) -> None:
    card = end.join(["BEGIN:VCARD", "VERSION:3.0", *lines, "END:VCARD"])
    assert read_vcard(card) == expected


def test_the_name_beside_the_card_comes_first() -> None:
    assert read_vcard("FN:Omar Haddad", display_name="Omar")["name"] == "Omar"


def test_values_have_a_limit() -> None:
    card = "\n".join(f"TEL:{number}" for number in range(1_000))
    assert len(read_vcard(card)["phones"]) == 20
