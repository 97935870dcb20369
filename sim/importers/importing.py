"""Import of files of any known format, which become events of one recording while they are read."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from queue_core.recording.format import (
    DEFAULT_EPOCH_MS,
    MESSAGES_MAX,
    Arrival,
    Header,
    MessageEvent,
    OtherEvent,
    RecordedEvent,
    Recording,
)
from queue_core.recording.reader import arrivals_of, others_of
from queue_core.text import visible
from sim.importers.base import Evidence, Importer, ImportFailedError, Omission, Sample
from sim.importers.detection import detect, importer_named, unknown_format
from sim.importers.sources import Meter, Source, sources_of
from sim.importers.summary import FileSummary, Summary
from sim.importers.taking import EventTaker, ImportOptions

PROGRESS_EVERY = 2_000
"""Number of events and omissions between two reports of progress."""


class Import:
    """Import of some files. `events` may be called once; afterwards `summary` is complete.

    `sources` are the files at the paths, if they were opened before: standard input can be read only once. `progress`
    is called every PROGRESS_EVERY events or omissions; `meter` counts the bytes that were read.
    """

    def __init__(
        self,
        paths: Iterable[Path],
        options: ImportOptions,
        *,
        sources: Iterable[Source] | None = None,
        progress: Callable[[], None] = lambda: None,
        meter: Meter | None = None,
    ) -> None:
        self._paths = list(dict.fromkeys(paths))
        self._sources = sources
        self._options = options
        self._progress = progress
        self._meter = meter or Meter()
        self._state: dict[str, Any] = {}
        self._read = 0
        self.summary = Summary()

    def events(self) -> Iterator[RecordedEvent]:
        """Yield the events, in the order of the files, with times in Unix milliseconds. Raises ImportFailedError."""
        taker: EventTaker | None = None
        importer = importer_named(self._options.format) if self._options.format else None
        is_fixed = importer is not None
        sources = sources_of(self._paths, self._meter) if self._sources is None else self._sources
        for source in sources:
            sample = source.sample()
            if is_fixed and importer:
                evidence = importer.recognise(sample) or Evidence(0, "--format says so")
            elif choice := detect(sample, importer):
                importer, evidence = choice
            else:
                self._leave_out(source, sample)
                continue
            file = FileSummary(source.name, importer.name, importer.title, evidence.words)
            self.summary.files.append(file)
            if taker is None:
                key = self._options.key or hashlib.sha256(b"import\0" + sample.data).digest()
                taker = EventTaker(self._options, key, self.summary)
            yield from self._of_file(source, importer, file, taker)
        if taker is not None:
            yield from taker.rest()
        self._check()

    def header(self, title: str = "") -> Header:
        """Return the `recording` event, which is complete once all events were read."""
        names = ", ".join(sorted({file.title for file in self.summary.files if file.format}))
        texts = "texts are kept" if self._options.shows_text else "texts are left out"
        return Header(
            title=title,
            source=f"imported from {names}" if names else "",
            notes=""
            if self._options.as_they_are
            else "phones, ids, and instances with a number of seven digits or more in their names are keyed hashes; "
            + texts,
            precision=self.summary.precision,
            left_out={visible(reason)[:200]: number for reason, number in self.summary.left_out.items()},
        )

    def recording(self, name: str) -> Recording:
        """Read everything into a recording. Raises ImportFailedError."""
        messages: list[MessageEvent] = []
        others: list[OtherEvent] = []
        for event in self.events():
            if isinstance(event, MessageEvent):
                messages.append(event)
            else:
                others.append(event)
        epoch_ms = min((message.at for message in messages), default=DEFAULT_EPOCH_MS)
        header = self.header()
        arrivals: tuple[Arrival, ...] = arrivals_of(messages, epoch_ms)
        return Recording(
            name=name,
            arrivals=arrivals,
            source=header.source,
            notes=header.notes,
            epoch_ms=epoch_ms,
            others=others_of(others, epoch_ms, is_iso=True),
            precision=header.precision,
            left_out=header.left_out,
        )

    def _of_file(
        self, source: Source, importer: Importer, file: FileSummary, taker: EventTaker
    ) -> Iterator[RecordedEvent]:
        context = self._options.context(self._state)
        file.notes = context.notes
        for item in importer.read(source, context):
            self._read += 1
            if not self._read % PROGRESS_EVERY:
                self._progress()
            if isinstance(item, Omission):
                file.omit(item)
            else:
                yield from taker.take(item, file, keeps_hashes=importer.keeps_hashes)

    def _leave_out(self, source: Source, sample: Sample) -> None:
        """Leave a file out: counts it if it is in a folder or an archive, raises an error if the user named it."""
        if source.path in self._paths or (len(self._paths) == 1 and self._paths[0].name == "-"):
            raise unknown_format(sample)
        file = FileSummary(source.name)
        file.omit(Omission("a file of no known format", 1))
        self.summary.files.append(file)

    def _check(self) -> None:
        """Raise ImportFailedError for an import without messages, or with more than a recording may have."""
        messages = self.summary.events[MessageEvent.name]
        shown = visible(", ".join(str(path) for path in self._paths))
        if messages > MESSAGES_MAX:
            raise ImportFailedError(
                f"{shown}: has {messages:,} messages, and a recording has at most {MESSAGES_MAX:,}; take a part with "
                "--from and --to, or with --instance"
            )
        if not messages:
            replies = self.summary.events["reply"]
            only = f", but {replies:,} repl{'y' if replies == 1 else 'ies'}" if replies else ""
            raise ImportFailedError(f"{shown}: holds no message{only}{self._reasons()}")

    def _reasons(self) -> str:
        """Return a sentence on how the files were read, and what was left out."""
        formats = {file.title: file.evidence for file in self.summary.files if file.format}
        seen = "; ".join(f"read as {title}, since {evidence}" for title, evidence in formats.items())
        counts = ", ".join(
            f"{number:,} of: {reason}" for reason, number in list(self.summary.left_out.items())[:5]
        )
        words = f" ({seen}; --format changes that)" if seen else ""
        return f"{words}; left out: {counts}" if counts else words
