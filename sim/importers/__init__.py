"""Importers, which make recordings from other files: webhook dumps, logs, database tables and chat exports.

To add a format:

1. Write `sim/importers/formats/<name>.py`, or a folder `<name>/`, with a subclass of `Importer` (`base.py`). It has a
   `name` (for `--format`), a `title` for people, and two methods:
   - `recognise(sample)` looks at the beginning of a file (`Sample`: bytes, text, whole lines, JSON if it is whole) and
     returns `Evidence`, with a certainty from 1 to 100 and the signs in words; None if the file has another format.
     A certainty of 50 or more means that the file can hardly have another format.
   - `read(source, context)` yields an `ImportedEvent` for each event and an `Omission` for each thing left out, while
     it reads. It never holds the whole file in memory. `source.lines()` has numbered lines; `source.open()` gives the
     bytes, and may be called again for a second pass. Compression, archives, byte order marks and UTF-16 are handled
     before.
2. Add an instance to `IMPORTERS` in `registry.py`.
3. Put a file in the format's shape, made by hand, into its test in `tests/sim/importers/`, and a writer for the round
   trip: synthetic day → writer → import → equal arrivals within the format's precision.

An importer yields the events of the file, with phones, ids, texts and names unchanged, and times in Unix milliseconds
(`is_iso=True`). `taking.py` does the rest for all formats: it hashes, leaves out texts, applies `--from`, `--to` and
`--instance`, leaves out further reports of a reply, spreads whole seconds by a seeded draw, and counts. So an
`ImportedEvent` says the precision of its time.
An empty `id` is replaced by a new one, an empty `instance` by that of `--instance`, or else by "bot".

`Context` has information that only the user can give, such as the name of the bot. If it is missing, raise
`ImportFailedError` with the option to type. Call `context.note()` with sentences that the user should read, such as on
an assumed time zone; each sentence is shown once.
"""
