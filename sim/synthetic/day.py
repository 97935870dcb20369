"""Synthetic recordings: a made-up day, drawn from the statistics of real chats.

Measured: the number of messages in a turn and the time between them (14 real one-to-one chats with times in seconds,
185,000 messages, 99,526 turns). Assumed: the turns in each hour, how often each user writes, the shares of pictures
and voice notes, and how often a provider delivers again. Equal arguments give equal bytes.
"""

from __future__ import annotations

import math
import shlex
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from random import Random

from queue_core.recording.format import Arrival, Expectation, Recording
from sim.synthetic.phrases import PHRASES

TURN_LENGTH_SHARES = (0.587, 0.229, 0.092, 0.040, 0.021, 0.011, 0.006, 0.004, 0.003)
"""Share of turns with 1, 2, ... 9 messages, as measured; the rest has 10 or more."""
TURN_LENGTH_MAX = 130
"""The longest turn that was measured."""
_TAIL_START = len(TURN_LENGTH_SHARES) + 1
_TAIL_EXPONENT = 2.9
"""From 10 on, P(length >= k) is proportional to k ** -_TAIL_EXPONENT: the slope between the measured 5.2 % with at
least 5 messages and 0.7 % with at least 10. It expects 0.4 of 99,526 turns to have 130 messages or more; the longest
measured turn has 130."""

GAP_LOG_MEAN = 2.118
GAP_LOG_SIGMA = 1.207
GAP_LOG_SHIFT_S = 0.5
"""ln(gap in seconds + shift) of two messages in a turn is close to normal with this mean and deviation. The
measured gaps have a heavier tail: their 99th percentile is 212 s, that of the model 129 s."""
TURN_GAP_MS_MAX = 300_000
"""Longest gap within a turn; a longer silence of the user ends the turn."""

HOUR_WEIGHTS = (5, 3, 2, 1, 1, 2, 3, 4, 6, 7, 8, 8, 8, 8, 7, 8, 9, 10, 11, 12, 13, 13, 11, 8)
"""Assumed relative rate of turns in each hour from midnight: quiet at night, busiest in the evening."""
NEW_USER_SHARE = 0.4
"""Assumed share of turns by new users. The other turns go to users in proportion to their turns so far."""
_USER_TRIES = 8
KIND_SHARES = {"text": 0.90, "image": 0.04, "audio": 0.04, "sticker": 0.01, "document": 0.01}
"""Assumed share of the messages of each kind."""
CAPTION_SHARE = 0.3
ARABIC_USER_SHARE = 0.7
"""Assumed share of users who write Arabic, for `--lang mixed`."""

REDELIVERY_WAITS_MS = (5_000, 10_000)
"""Waits of a provider before it delivers an unanswered message again (Evolution API)."""

LANGUAGES = (*PHRASES, "mixed")
MESSAGES_MAX = 1_000_000
HOURS_MAX = 24 * 366
_MS_AN_HOUR = 3_600_000


@dataclass(frozen=True, slots=True)
class SyntheticSettings:
    """Settings of a synthetic recording. `hours` is the time in which turns begin; the last turn may end later."""

    messages: int = 2000
    hours: float = 24.0
    seed: int = 1
    instance: str = "bot"
    language: str = "ar"
    redeliveries: float = 0.01

    def command(self) -> str:
        """Return the command that makes this recording."""
        options = {
            "messages": self.messages,
            "hours": f"{self.hours:.12g}",
            "seed": self.seed,
            "instance": shlex.quote(self.instance),
            "lang": self.language,
            "redeliveries": f"{self.redeliveries:.12g}",
        }
        return "python -m sim synth " + " ".join(f"--{name} {value}" for name, value in options.items())


def synthesize(settings: SyntheticSettings, *, name: str = "synthetic.jsonl") -> Recording:
    """Draw a recording with exactly `settings.messages` messages, redeliveries not counted."""
    messages = sorted(_messages(settings), key=lambda message: message.at_ms)
    rng = Random(f"{settings.seed}:redeliveries")
    arrivals: list[Arrival] = []
    for number, message in enumerate(messages, start=1):
        arrivals.extend(_deliveries(message, f"m{number:05d}", settings, rng))
    arrivals.sort(key=lambda arrival: arrival.at_ms)
    users = len({arrival.phone for arrival in arrivals})
    return Recording(
        name=name,
        title=f"Synthetic: {settings.messages} messages in {settings.hours:.12g} h",
        source=f"Synthetic, nobody wrote this. Made by: {settings.command()}",
        notes=(
            f"Users: {users}. Turn lengths and the gaps in a turn follow figures measured on 99,526 turns of "
            "14 real chats; the shape of the day, who writes how often, the kinds of messages and the rate "
            "of redeliveries are assumed. Phrases are from a list made for this project. Time 0 is midnight."
        ),
        arrivals=tuple(arrivals),
        expect={"queue": Expectation(lost=(), duplicated=(), reordered=())},
    )


def turn_length(rng: Random) -> int:
    """Draw the number of messages in one turn, 1 to TURN_LENGTH_MAX."""
    length = bisect_right(_LENGTH_BOUNDS, rng.random()) + 1
    if length < _TAIL_START:
        return length
    while True:
        # The inverse of P(length >= k) = (k / 10) ** -2.9 at a uniform number, drawn again above the longest turn
        tail = int(_TAIL_START * (1.0 - rng.random()) ** (-1.0 / _TAIL_EXPONENT))
        if tail <= TURN_LENGTH_MAX:
            return tail


def gap_ms(rng: Random) -> int:
    """Draw the time between two messages of one turn, 1 to TURN_GAP_MS_MAX milliseconds."""
    while True:
        gap_s = math.exp(rng.normalvariate(GAP_LOG_MEAN, GAP_LOG_SIGMA)) - GAP_LOG_SHIFT_S
        gap = round(gap_s * 1000)
        if 1 <= gap <= TURN_GAP_MS_MAX:
            return gap


_LENGTH_BOUNDS = tuple(accumulate(TURN_LENGTH_SHARES))


@dataclass(frozen=True, slots=True)
class _Message:
    at_ms: int
    phone: str
    text: str
    kind: str


def _messages(settings: SyntheticSettings) -> Iterator[_Message]:
    """Draw the messages, turn by turn."""
    seed = settings.seed
    lengths = list(_turn_lengths(settings.messages, Random(f"{seed}:lengths")))
    starts = Random(f"{seed}:starts")
    gaps, texts = Random(f"{seed}:gaps"), Random(f"{seed}:texts")
    users = _Users(Random(f"{seed}:users"), settings.language)
    start_times = sorted(_turn_start_ms(settings.hours, starts) for _ in lengths)
    for start_ms, length in zip(start_times, lengths, strict=True):
        times = list(accumulate((gap_ms(gaps) for _ in range(length - 1)), initial=start_ms))
        phone, language = users.take(start_ms, times[-1])
        for position, at_ms in enumerate(times):
            kind, text = _content(position, language, texts)
            yield _Message(at_ms, phone, text, kind)


def _turn_lengths(messages: int, rng: Random) -> Iterator[int]:
    """Draw lengths that add up to `messages`; the last is cut to fit."""
    left = messages
    while left > 0:
        length = min(turn_length(rng), left)
        left -= length
        yield length


def _turn_start_ms(hours: float, rng: Random) -> int:
    """Draw the start of a turn, with a probability in proportion to the weight of its hour."""
    while True:
        at_ms = int(rng.random() * hours * _MS_AN_HOUR)
        weight = HOUR_WEIGHTS[at_ms // _MS_AN_HOUR % 24]
        if rng.random() * max(HOUR_WEIGHTS) < weight:
            return at_ms


class _Users:
    """Writers of the turns. A user's turns are more than TURN_GAP_MS_MAX apart."""

    def __init__(self, rng: Random, language: str) -> None:
        self._rng = rng
        self._language = language
        self._writer_of_turn: list[int] = []
        self._languages: list[str] = []
        self._last_ms: list[int] = []

    def take(self, start_ms: int, end_ms: int) -> tuple[str, str]:
        """Choose a user for the next turn, in the order of starts; returns phone and language."""
        user = self._choose(start_ms)
        self._writer_of_turn.append(user)
        self._last_ms[user] = end_ms
        return f"user-{user + 1:04d}", self._languages[user]

    def _choose(self, start_ms: int) -> int:
        if self._writer_of_turn and self._rng.random() >= NEW_USER_SHARE:
            for _ in range(_USER_TRIES):
                user = self._rng.choice(self._writer_of_turn)
                if start_ms - self._last_ms[user] > TURN_GAP_MS_MAX:
                    return user
        self._last_ms.append(start_ms)
        self._languages.append(self._new_language())
        return len(self._last_ms) - 1

    def _new_language(self) -> str:
        if self._language != "mixed":
            return self._language
        return "ar" if self._rng.random() < ARABIC_USER_SHARE else "en"


def _content(position: int, language: str, rng: Random) -> tuple[str, str]:
    """Draw kind and text of a message by its position in the turn."""
    phrases = PHRASES[language]
    (kind,) = rng.choices(list(KIND_SHARES), weights=list(KIND_SHARES.values()))
    if kind == "text":
        return kind, rng.choice(phrases.openers if position == 0 else phrases.follow_ups)
    has_caption = kind in ("image", "document") and rng.random() < CAPTION_SHARE
    return kind, rng.choice(phrases.captions) if has_caption else ""


def _deliveries(
    message: _Message, message_id: str, settings: SyntheticSettings, rng: Random
) -> Iterator[Arrival]:
    at_ms = message.at_ms
    for wait_ms in (0, *REDELIVERY_WAITS_MS):
        if wait_ms and rng.random() >= settings.redeliveries:
            return
        at_ms += wait_ms
        yield Arrival(
            at_ms=at_ms,
            instance=settings.instance,
            phone=message.phone,
            id=message_id,
            text=message.text,
            kind=message.kind,
            timestamp_ms=message.at_ms,
        )
