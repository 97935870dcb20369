"""Recordings for a replay from any files: recordings of this project are read, all other files imported in memory."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

from queue_core.recording.files import FILE_NAME
from queue_core.recording.format import Recording
from queue_core.recording.reader import read_recording, short_names
from sim.importers.base import ImportFailedError
from sim.importers.detection import detect, importer_named, unknown_format
from sim.importers.formats.recordings import BROKEN_LINES, Recordings
from sim.importers.importing import Import
from sim.importers.sources import STANDARD_INPUT, Meter, Source, files_of, plain_source, sources_of
from sim.importers.summary import Summary
from sim.importers.taking import ImportOptions


class Loaded(NamedTuple):
    """Recordings, and summaries of the imports among them.

    The other files in the folders were not read: those of `unknown` have no known format, and those of `below` are in
    subfolders of folders that have recordings themselves.
    """

    recordings: list[Recording]
    imports: list[Summary]
    unknown: list[Path]
    below: list[Path]


def load_any(
    paths: Sequence[Path],
    options: ImportOptions,
    *,
    skip_bad_lines: bool = False,
    progress: Callable[[], None] = lambda: None,
    meter: Meter | None = None,
) -> Loaded:
    """Read recordings, and import everything else; a path given twice is read once.

    Each recording of this project stays one recording, but all files of a live recorder in a folder become one.
    Of the other files in a folder, those of one format become one recording. Subfolders are read where the folder
    itself has no recordings. Raises RecordingError and ImportFailedError.
    """
    loader = _Loader(options, skip_bad_lines, progress, meter or Meter())
    for path in dict.fromkeys(paths):
        loader.take(path)
    return loader.loaded()


_NUMBER = re.compile(r"\+(?:[\d\s().\u2010-\u202f-]|\\xa0|\\u20[0-9a-f]{2}){4,}(\d{4})")
"""Phone number in the name of a file: WhatsApp names a chat with somebody who is not in the contacts by the number.

Spaces that do not break and marks of direction may stand there, also as the codes of `visible`."""


def without_number(name: str) -> str:
    """Return the name of a file with the last four digits of a phone number only, as pages show them."""
    return _NUMBER.sub(r"+…\1", name)


def distinct(names: Sequence[str]) -> list[str]:
    """Return the names, each repeated one with a number behind it."""
    seen = Counter[str]()
    result = []
    for name in names:
        seen[name] += 1
        result.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return result


def _refuse_broken_lines(summary: Summary) -> None:
    """Raise ImportFailedError for the first broken line in the files of a live recorder."""
    for file in summary.files:
        broken = [
            (entry.places[0], reason) for reason, entry in file.left_out.items() if reason in BROKEN_LINES
        ]
        if broken:
            line, reason = min(broken)
            raise ImportFailedError(f"{file.name}:{line}: {reason}; --skip-bad-lines leaves such lines out")


class _Entry(NamedTuple):
    """Recording that will be read later. Its name is made from `path`."""

    path: Path
    read: Callable[[str], Recording]
    is_imported: bool = False
    """True if an import has already selected the instance; it may have replaced its name by a hash."""


class _Loader:
    """Loader that turns paths into entries, and then reads the entries."""

    def __init__(
        self, options: ImportOptions, skip_bad_lines: bool, progress: Callable[[], None], meter: Meter
    ) -> None:
        self._options = options
        self._skip_bad_lines = skip_bad_lines
        self._progress = progress
        self._meter = meter
        self._entries: list[_Entry] = []
        self._imports: list[Summary] = []
        self._unknown: list[Path] = []
        self._below: list[Path] = []
        self._seen: set[Path] = set()

    def take(self, path: Path) -> None:
        """Add the entries for a path."""
        if path != STANDARD_INPUT and path.is_dir():
            self._take_folder(path)
        elif self._is_new(path):
            self._take_file(path)

    def loaded(self) -> Loaded:
        """Read all entries."""
        names = distinct(
            [without_number(name) for name in short_names([entry.path for entry in self._entries])]
        )
        recordings = [
            self._part_of(entry.read(name), "" if entry.is_imported else self._options.instance)
            for entry, name in zip(self._entries, names, strict=True)
        ]
        return Loaded(recordings, self._imports, self._unknown, self._below)

    def _is_new(self, path: Path) -> bool:
        is_new = path.resolve() not in self._seen
        self._seen.add(path.resolve())
        return is_new

    def _take_folder(self, folder: Path) -> None:
        """Add the recordings in a folder, and a recording for each format of its other files."""
        files = [file for file in files_of(folder) if self._is_new(file)]
        top = [file for file in files if file.parent == folder]
        live = [file for file in top if FILE_NAME.fullmatch(file.name)]
        recordings = [
            file
            for file in top
            if file.suffix == ".jsonl"
            and file not in live
            and self._is_recording(plain_source(file, self._meter), file)
        ]
        if live or recordings:
            self._below += [file for file in files if file.parent != folder]
            files = [file for file in top if file not in recordings]
        self._entries += [_Entry(file, partial(self._read_file, file)) for file in recordings]
        if files:
            self._import_by_format(files, folder, has_recordings=bool(live or recordings))

    def _import_by_format(self, files: Sequence[Path], folder: Path, *, has_recordings: bool) -> None:
        """Add a recording for each format: the same message may stand in files of two formats.

        Files of live recorders become one recording, and each other recording of this project stays one.
        """
        groups: dict[str, list[Path]] = {}
        live: list[Path] = []
        for file in files:
            if FILE_NAME.fullmatch(file.name):
                live.append(file)
            else:
                groups.setdefault(self._format_of(file), []).append(file)
        unknown_files = groups.pop("", [])
        recordings = groups.pop(Recordings.name, [])
        if not (has_recordings or live or recordings) and len(groups) < 2:
            self._import([folder], folder, self._options)
            return
        self._unknown += unknown_files
        for file in recordings:
            self._take_file(file)
        parts = [(name, of_format, self._options) for name, of_format in groups.items()]
        if live:
            parts.append((Recordings.name, live, replace(self._options, as_they_are=True)))
        for name, of_part, options in parts:
            self._import(of_part, folder / name if len(parts) > 1 else folder, options)

    def _format_of(self, file: Path) -> str:
        """Return the name of the file's format, for an archive that of its first known file; "" for an unknown one."""
        if self._options.format:
            return self._options.format
        try:
            choices = [detect(source.sample()) for source in sources_of([file], self._meter)]
        except ImportFailedError:
            return ""
        return next((choice[0].name for choice in choices if choice), "")

    def _take_file(self, path: Path) -> None:
        sources = list(sources_of([path], self._meter))
        if not sources or not all(self._is_recording(source, path) for source in sources):
            self._import([path], path, self._options, sources)
            return
        for source in sources:
            inner = path if len(sources) == 1 else Path(source.name)
            self._entries.append(_Entry(inner, partial(self._read_source, source)))

    def _is_recording(self, source: Source, path: Path) -> bool:
        """Return True for a recording of this project, or a file with the name of one and no other known format."""
        if self._options.format:
            return isinstance(importer_named(self._options.format), Recordings)
        sample = source.sample()
        choice = detect(sample)
        if choice is None:
            if path.suffix == ".jsonl":
                return True
            raise unknown_format(sample)
        return isinstance(choice[0], Recordings)

    def _import(
        self,
        paths: list[Path],
        name_path: Path,
        options: ImportOptions,
        sources: Sequence[Source] | None = None,
    ) -> None:
        def read(name: str) -> Recording:
            work = Import(paths, options, sources=sources, progress=self._progress, meter=self._meter)
            recording = work.recording(name)
            if options.as_they_are and not self._skip_bad_lines:
                _refuse_broken_lines(work.summary)
            self._imports.append(work.summary)
            return recording

        self._entries.append(_Entry(name_path, read, is_imported=True))

    def _read_file(self, file: Path, name: str) -> Recording:
        return read_recording(file, name, skip_bad_lines=self._skip_bad_lines)

    def _read_source(self, source: Source, name: str) -> Recording:
        path = Path(source.name)
        return read_recording(path, name, skip_bad_lines=self._skip_bad_lines, opener=source.open)

    def _part_of(self, recording: Recording, instance: str) -> Recording:
        """Return the part of a recording that `--from`, `--to` and the instance, if one is given, select."""
        options = self._options
        low = float("-inf") if options.from_ms is None else options.from_ms - recording.epoch_ms
        high = float("inf") if options.to_ms is None else options.to_ms - recording.epoch_ms
        arrivals = tuple(
            arrival
            for arrival in recording.arrivals
            if low <= arrival.at_ms < high and instance in ("", arrival.instance)
        )
        if len(arrivals) == len(recording.arrivals):
            return recording
        if not arrivals:
            raise ImportFailedError(
                f"{recording.name}: has no messages that match --from, --to and --instance"
            )
        return replace(recording, arrivals=arrivals, expect={})
