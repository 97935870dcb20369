"""Form in which a reply is sent: WhatsApp's formatting, parts within a channel's limit, a bubble for each paragraph.

A reply is brought into its form once, before it is recorded. The recorded reply holds its parts, so every try sends the
same parts, even after an update or a change of settings. docs/answers.md states the rules.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from queue_core.channels.form.bubbles import bubbles_of, pause_s
from queue_core.channels.form.markdown import converted
from queue_core.channels.form.splitting import split
from queue_core.message import PART_END

Format = Literal["whatsapp", "plain", "unchanged"]
"""Formatting of a reply: WhatsApp's, none, or as the AI wrote it."""


@dataclass(frozen=True, kw_only=True)
class Form:
    """Form of the replies that a channel sends."""

    characters_max: int
    """Limit on the length of a part, in UTF-16 code units."""
    format: Format = "whatsapp"
    bubbles_max: int = 1
    """Limit on the bubbles into which the paragraphs of a reply are split; 1: not split."""
    pause_s_max: float = 0.0
    """Longest pause before a bubble, in which the user sees "typing…"; 0: none."""

    def formed(self, reply: str) -> str:
        """Return an AI's reply in its form: the parts, with PART_END between them.

        A converted reply must not be converted again, since WhatsApp's marks mean something else in Markdown. So a
        converted reply of one part ends in PART_END.
        """
        text = written = reply.replace(PART_END, "\n").strip()
        if self.format != "unchanged":
            written = converted(text, has_marks=self.format == "whatsapp").strip()
        bubbles = bubbles_of(written, self.bubbles_max)
        parts = [part for bubble in bubbles for part in split(bubble, self.characters_max)]
        return PART_END.join(parts) + PART_END * (len(parts) == 1 and written != text)

    def parts_of(self, reply: str) -> list[str]:
        """Return the parts of a recorded reply; brings it into its form first if that was not done."""
        formed = reply if PART_END in reply else self.formed(reply)
        return formed.removesuffix(PART_END).split(PART_END)

    def formed_by_old_release(self, reply: str) -> str:
        """Return a reply in the form that older releases gave it; they did not record the parts.

        Needed to go on, during and after an upgrade, with a reply that such a release began to send.
        """
        return PART_END.join(_parts_of_old_release(reply, self.characters_max))

    def pause_s(self, part: str) -> float:
        """Return the pause before a part that follows another one."""
        return pause_s(part, self.pause_s_max) if self.bubbles_max > 1 else 0.0


def _parts_of_old_release(text: str, characters_max: int) -> list[str]:
    parts = []
    rest = text
    while len(rest) > characters_max:
        head = rest[:characters_max]
        cut = next((at for mark in ("\n\n", "\n", " ") if (at := head.rfind(mark)) > characters_max // 2), -1)
        part, rest = (rest[:characters_max], rest[characters_max:]) if cut < 0 else (rest[:cut], rest[cut:])
        parts.append(part.rstrip())
        rest = rest.lstrip()
    return [*parts, rest] if rest or not parts else parts
