"""Change of the number of partitions while messages wait.

All partitions that can exist are closed: the scripts then refuse every process. Data that the new number puts into
another partition are carried there. Then the number is noted in all partitions, and processes with that number go on,
while the scripts refuse those with another. Processes of release 0.1.0 do not know the note, and are not refused.

A change that was interrupted is continued by the next run, from where it stopped. Each step may be repeated, and each
checks in Redis that the partition is closed by this run, so a run that was paused can do no harm. What is taken out of a
partition lies in its outbox until it has arrived, and it arrives once (`redis/scripts/bundles.lua`).

| data | how they are carried | why repeating is harmless |
|---|---|---|
| keys of a conversation: `msg_queue`, `processing_lock` (its lease has ended), `reply`, `completed`, `queue_stats`, `changes`, `change_notes`, `memory`, `alias`, `names`, `behind`, `undelivered`, `sent_again`; its times in `active_queues` and `backend_waiting` | bundle | a bundle arrives once |
| `seen` keys of layout 1, entries of `dead_letters` and of `damaged` with the key, reports on replies | bundle | a bundle arrives once |
| `ids`, fingerprints of message ids; `sent`, those of ids of replies: neither tells its conversation | copied to every partition that gets conversations from here; they expire | the same fields are written again |
| `backend`, `outages`: what is away | copied likewise | the same fields are written again |
| `token` | the greatest of all partitions | the greatest stays |
| `layout`: `since`, `ids` | the latest `since`; the `ids` of all partitions whose conversations come here | computed again |
| `hold` | set in the new partitions, too | it is set already |
| `looks`, `wake` | begun anew: waits count from the change, as after a hold | begun anew again |
| `backend_trials`, `outage_news`, `last_claim` | not carried: leases have ended, and outages are found again | |
| `moments`, `slowdown` | stay: they always lie in partition 0 | |
"""  # noqa: E501 - a table
