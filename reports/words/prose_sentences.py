"""The sentences and words that results hold, as `reports.words.prose` recognises and translates them.

Each is the text that `sim`, `loadtests` or `queue_core` writes, with %(name)s for whatever differs. A moment in a cause
(" at 8012 ms") is left out here. Of two patterns that match, the first counts.
"""

from __future__ import annotations

from reports.words.language import marked

SUMMARIES = (
    marked("One buffer per conversation, no lock, an in-process timer; the incident happened in it."),
    marked("buffer-v1 with a lock that it gives up on, a grace window around 8 s, and retried calls."),
    marked("One Redis list per conversation, polled every 3 s, rewritten from what was read."),
    marked("list-v1 that reads again before its first rewrite, at most 10 messages a batch."),
    marked(
        "The queue of this project: due times and leases in Redis, nothing removed before it is answered."
    ),
)
"""What each system of `sim` is."""

CAUSES = (
    marked("its webhook never wrote it into a buffer"),
    marked("its webhook never pushed it to a list"),
    marked(
        "the timer of its buffer died with the function instance that had started it: nobody reads the buffer"
    ),
    marked(
        "the timer for call %(number)s of its buffer died with the function instance that had started it: "
        "nobody reads the buffer"
    ),
    marked("the HTTP call of its buffer's timer failed %(number)s times: nobody reads the buffer"),
    marked("the HTTP call of its buffer's timer failed and was not tried again: nobody reads the buffer"),
    marked("the AI failed, and its buffer was marked processed all the same"),
    marked(
        "in a buffer that was written back as unprocessed after its timer had run: none is left to read it"
    ),
    marked("in a buffer that was marked processed: it came after the processor had read the buffer"),
    marked("its buffer expired, %(seconds)s s after the last write, before anybody read the message"),
    marked(
        "overwritten by a concurrent write: the processor marked the buffer as processed, and wrote it back as "
        "it was before"
    ),
    marked(
        "overwritten by a concurrent write: the webhook of %(writers)s had read the buffer before this message "
        "was in it"
    ),
    marked("dropped by a list rewrite (%(step)s): it had stayed `processing` since its processor crashed"),
    marked(
        "dropped by a list rewrite (%(step)s): the rewrite pushed back only what it had read before this message "
        "was in the list"
    ),
    marked("deleted with its list after an hour without a write"),
    marked(
        "deleted with its list after an hour without a write: the scheduler splits keys at each colon, and a name "
        "in this one holds one"
    ),
    marked("answered directly as Redis failed, but the AI failed"),
    marked("marked as completed though the AI failed"),
    marked("answered to another user: a colon in a name makes two conversations share a key"),
    marked("answered to somebody else, %(conversation)s"),
)
"""Why a message was lost."""

DETAILS = (
    marked("%(detail)s (run %(run)s, seed %(seed)s)"),
    marked("%(outcome)s: not checked, as the command line sets %(changes)s"),
    marked("%(outcome)s: %(ids)s, as on record"),
    marked("%(outcome)s: %(ids)s, but on record: %(expected)s"),
    marked("logged as on record: %(fields)s"),
    marked("on record, but never logged: %(fields)s"),
    marked("the fault %(name)s to %(rate)s"),
    marked("%(name)s to %(now)s instead of %(then)s"),
    marked("log line %(number)s"),
)
"""What came of an outcome on record, and what was changed so that it was not checked."""

SWEEP_VERDICTS = (
    marked(
        "Under none of these settings the queue was clean: see what each of them lost, duplicated or reordered."
    ),
    marked("%(verdict)s %(lossy)s of %(choices)s choices lost, duplicated or reordered something."),
    marked(
        "A window of %(seconds)s s and %(messages)s messages is nearest to the best of everything: 95 %% of the "
        "turns are answered within %(waited)s s of their first message, by %(calls)s AI calls for %(sent)s "
        "messages, and in %(split)s of %(turns)s turns the user wrote on before the reply."
    ),
    marked(
        "A window of %(seconds)s s and %(messages)s messages, %(idle)s s of silence is nearest to the best of "
        "everything: 95 %% of the turns are answered within %(waited)s s of their first message, by %(calls)s AI "
        "calls for %(sent)s messages, and in %(split)s of %(turns)s turns the user wrote on before the reply."
    ),
)
"""What a comparison of settings says: a page may part it at its colon, so the translations have one too."""

SENTENCES = (*SUMMARIES, *CAUSES, *DETAILS, *SWEEP_VERDICTS)

OUTCOMES = (
    marked("lost"),
    marked("duplicated"),
    marked("out of order"),
    marked("dead-lettered"),
    marked("answered"),
    marked("none"),
)
STEPS = (marked("mark as processing"), marked("mark as completed"), marked("recovery by the monitor"))
TRIGGERS = (
    marked("window"),
    marked("size"),
    marked("idle"),
    marked("retry"),
    marked("direct"),
    marked("timer"),
)
"""What made a batch due."""

KINDS = (
    marked("text"),
    marked("image"),
    marked("audio"),
    marked("video"),
    marked("document"),
    marked("sticker"),
    marked("location"),
    marked("contact"),
    marked("reaction"),
)
"""Kinds of messages."""

WORDS = (*OUTCOMES, *STEPS, *TRIGGERS, *KINDS)
