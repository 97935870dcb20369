"""Importers: recordings made from what people have of a bad day, such as webhook dumps, logs and chat exports.

To add a format:

1. Write `sim/importers/formats/<name>.py`, or a folder `<name>/`, with a subclass of `Importer` (`base.py`). It has a
   `name` (for `--format`), a `title` for people, and two methods:
   - `recognise(sample)` looks at the beginning of a file (`Sample`: bytes, text, whole lines, JSON if it is whole) and
     returns `Evidence`: how certain it is, from 1 to 100, and in words what it saw; None if this is another format.
     50 and more is a file that can hardly be anything else.
   - `read(source, context)` yields a `Taken` for each event and an `Omission` for each thing left out, while it reads:
     never the whole file at once. `source.lines()` has numbered lines; `source.open()` gives the bytes, and may be
     called again for a second pass. Compression, archives, byte order marks and UTF-16 are already dealt with.
2. Add an instance to `IMPORTERS` in `registry.py`.
3. Put a file in the format's shape, made by hand, into its test in `tests/sim/importers/`, and a writer for the round
   trip: synthetic day → writer → import → equal arrivals within the format's precision.

An importer yields what the file says, with phones, ids, texts and names as they stand there, and times in Unix
milliseconds (`is_iso=True`). Everything else is the same for all formats and happens in `taking.py`: the hashes, texts
left out, `--from` and `--to`, `--instance`, whole seconds spread by a seeded draw, and the counting. So a `Taken` says
the precision of its time. An empty `id` gets one; an empty `instance` is that of `--instance`, or the format's name.

What the user must say (who is the bot, say) is in `Context`. If it is missing, raise `ImportFailedError` with what to
type. What he should know (the zone that was assumed, say) goes to `context.note()`; each text is shown once.
"""
