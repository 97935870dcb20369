"""Stubs of the queue's atomic steps: each declares the inputs of the Lua file that has its name, and reads the answer.

Of a Place, a Partition or a Seen, only the fields named in the annotation are sent.
"""

from __future__ import annotations

from typing import Annotated, Literal

from queue_core.keys import Key, Partition, Place, Seen
from queue_core.redis.scripts import answers
from queue_core.redis.scripts.aliases import DeleteAlias as DeleteAlias
from queue_core.redis.scripts.aliases import Join as Join
from queue_core.redis.scripts.aliases import PutBehind as PutBehind
from queue_core.redis.scripts.aliases import ReadName as ReadName
from queue_core.redis.scripts.answers import (
    ClaimAnswer,
    EnqueueAnswer,
    FailAnswer,
    ForgetAnswer,
    InventoryAnswer,
    LookAnswer,
    MovedAnswer,
    PaceAnswer,
    Standing,
    SurveyAnswer,
)
from queue_core.redis.scripts.loader import Call, Digits, Now, Number, stub, text
from queue_core.redis.scripts.sent_replies import ForgetSent as ForgetSent
from queue_core.redis.scripts.sent_replies import MatchReports as MatchReports
from queue_core.redis.scripts.sent_replies import NoteSent as NoteSent
from queue_core.redis.scripts.sent_replies import NoteUndelivered as NoteUndelivered
from queue_core.redis.scripts.sent_replies import ReportSent as ReportSent
from queue_core.redis.scripts.sent_replies import SettleReport as SettleReport
from queue_core.settings import Rules


@stub(
    "enqueue",
    shared="rules now_ms follows aliases_ttl_ms dedupe_ttl_ms late_is_dead dead_letters_max confirms_duplicates",
    stores=True,
)
class Enqueue(Call[EnqueueAnswer | MovedAnswer], frozen=True, kw_only=True):
    """Stores a message, unless its id was stored before."""

    read = staticmethod(answers.read_enqueue)
    place: Annotated[Place, "queue lock active wake dead layout partitions alias names damaged conversation"]
    seen: Annotated[Seen, "old ids fingerprint"]
    rules: Rules
    now_ms: Now
    message: bytes
    follows: Digits
    names: str
    """Names of the user, each followed by the kind of its address."""
    aliases_ttl_ms: Number
    provider_ms: Number
    dedupe_ttl_ms: Number
    late_is_dead: Digits
    dead_letters_max: Number
    confirms_duplicates: Digits


@stub("change")
class Change(Call[EnqueueAnswer | MovedAnswer], frozen=True, kw_only=True):
    """Stores an edit or a deletion of an earlier message, unless its id was stored before."""

    read = staticmethod(answers.read_enqueue)
    place: Annotated[
        Place,
        "queue lock active wake dead layout partitions alias names damaged conversation completed reply changes "
        "change_notes",
    ]
    seen: Annotated[Seen, "old ids fingerprint"]
    rules: Rules
    now_ms: Now
    message: bytes
    message_id: str
    what: Literal["edit", "deletion"]
    target_id: str
    follows: Digits
    names: str
    aliases_ttl_ms: Number
    provider_ms: Number
    supersede_ms: Number
    keeps_deleted_texts: Digits
    dedupe_ttl_ms: Number
    late_is_dead: Digits
    dead_letters_max: Number
    completed_ttl_ms: Number
    confirms_duplicates: Digits


@stub("claim")
class Claim(Call[ClaimAnswer], frozen=True, kw_only=True):
    """Leases conversations that are due."""

    read = staticmethod(answers.read_claim)
    partition: Annotated[Partition, "active wake token dead looks layout partitions hold damaged base"]
    last_claim: Key
    rules: Rules
    now_ms: Now
    processor_id: str
    claim_id: str
    run: str
    claim_number: Number
    earliest_ms: Number
    latest_ms: Number
    was_unanswered: Number
    limit: Number
    lock_ttl_ms: Number
    grace_ms: Number
    max_batch: Number
    max_attempts: Number
    dead_letters_max: Number
    queue_ttl_ms: Number
    patience_ms: Number
    completed_ttl_ms: Number
    only: str
    kept: str
    watcher: str
    left_out: str
    room: Number


@stub("look", mends=False)
class Look(Call[LookAnswer], frozen=True, kw_only=True):
    """Says when a partition next needs attention, and which workers watch it."""

    read = staticmethod(answers.read_look)
    partition: Annotated[Partition, "active looks hold base"]
    now_ms: Now


@stub("discard")
class Discard(Call[int], frozen=True, kw_only=True):
    """Makes dead letters of unreadable messages of a batch. Returns the number left, or -1 for a lost lease."""

    place: Annotated[Place, "queue lock active wake stats dead reply damaged conversation"]
    rules: Rules
    now_ms: Now
    token: Digits
    indexes: str
    reason: str


@stub("extend", shared="now_ms lock_ttl_ms")
class Extend(Call[Standing], frozen=True, kw_only=True):
    """Renews a lease."""

    read = staticmethod(answers.read_standing)
    place: Annotated[Place, "lock active damaged conversation"]
    now_ms: Now
    token: Digits
    lock_ttl_ms: Number


@stub("record_reply", shared="rules now_ms supersede_ms max_batch completed_ttl_ms stats_ttl_ms")
class RecordReply(Call[Standing], frozen=True, kw_only=True):
    """Keeps the reply and confirms the lease right before the send, unless the turn has changed."""

    read = staticmethod(answers.read_standing)
    place: Annotated[
        Place,
        "queue lock reply active wake stats completed damaged conversation base ai channel changes change_notes",
    ]
    rules: Rules
    now_ms: Now
    token: Digits
    text: str
    supersede_ms: Number
    max_batch: Number
    completed_ttl_ms: Number
    stats_ttl_ms: Number


@stub("record_sent", shared="now_ms")
class RecordSent(Call[Standing], frozen=True, kw_only=True):
    """Notes that parts of the reply, or all of it, were sent, and confirms the lease."""

    read = staticmethod(answers.read_standing)
    place: Annotated[Place, "lock reply damaged conversation base channel"]
    now_ms: Now
    token: Digits
    parts: Digits
    is_whole: Digits


@stub("complete", shared="rules now_ms completed_ttl_ms stats_ttl_ms")
class Complete(Call[Standing], frozen=True, kw_only=True):
    """Finishes a batch."""

    read = staticmethod(answers.read_standing)
    place: Annotated[
        Place,
        "queue lock active wake stats completed reply damaged conversation base ai channel changes change_notes",
    ]
    rules: Rules
    now_ms: Now
    token: Digits
    completed_ttl_ms: Number
    stats_ttl_ms: Number


@stub("fail")
class Fail(Call[FailAnswer], frozen=True, kw_only=True):
    """Ends a lease without success."""

    read = staticmethod(answers.read_fail)
    place: Annotated[
        Place,
        "queue lock active wake stats dead reply completed damaged conversation base ai channel changes "
        "change_notes",
    ]
    rules: Rules
    now_ms: Now
    token: Digits
    mode: Literal["retry", "dead", "release"]
    reason: str
    not_sent: Digits
    backend: str
    counts: Digits
    took_ms: Number
    backoff_ms: Number
    wait_ms: Number
    asked_ms: Number
    max_attempts: Number
    dead_letters_max: Number
    completed_ttl_ms: Number
    stats_ttl_ms: Number


@stub("pace")
class Pace(Call[PaceAnswer], frozen=True, kw_only=True):
    """Says when a sending number may send messages, within its rate."""

    read = staticmethod(answers.read_pace)
    moments: Key
    slowdown: Key
    now_ms: Now
    per_s: Number
    count: Number
    wait_max_ms: Number
    waited_ms: Number
    refused: Digits
    asked_ms: Number
    ago_ms: Number


@stub("keep")
class Keep(Call[bool], frozen=True, kw_only=True):
    """Adds a message that was never in the queue to the dead letters. Returns False if there is no room."""

    read = staticmethod(answers.read_flag)
    place: Annotated[Place, "dead layout partitions damaged conversation"]
    now_ms: Now
    message: bytes
    reason: str
    dead_letters_max: Number


@stub("requeue")
class Requeue(Call[bool | str], frozen=True, kw_only=True):
    """Puts a dead letter back into its conversation. If the user has another conversation by now, returns that one."""

    read = staticmethod(answers.read_requeue)
    partition: Annotated[Partition, "dead active wake layout partitions damaged base"]
    rules: Rules
    now_ms: Now
    dead_id: str
    to: str
    follows: Digits


@stub("restore")
class Restore(Call[tuple[int, int]], frozen=True, kw_only=True):
    """Puts messages of a damaged key back. Returns how many, and how many are left; `restore.lua` explains -1, -2."""

    read = staticmethod(answers.read_pair)
    partition: Annotated[Partition, "damaged active wake dead layout partitions base"]
    rules: Rules
    now_ms: Now
    damaged_id: str
    limit: Number


@stub("mend")
class Mend(Call[int], frozen=True, kw_only=True):
    """Moves damaged keys of a partition aside, and counts them."""

    partition: Annotated[Partition, "active wake token dead looks hold damaged base"]
    rules: Rules
    now_ms: Now
    lock_ttl_ms: Number


@stub("withdraw")
class Withdraw(Call[str | int], frozen=True, kw_only=True):
    """Removes a message that was answered without the queue: "marked", "withdrawn" or "in flight".

    A number means that the search is not finished: repeat the call with that number as `skipped`.
    """

    read = staticmethod(answers.read_withdraw)
    place: Annotated[
        Place,
        "queue lock active wake stats dead completed reply layout partitions damaged conversation changes change_notes",
    ]
    seen: Annotated[Seen, "old ids fingerprint"]
    rules: Rules
    now_ms: Now
    message_id: str
    quoted_id: bytes
    """The id as it stands in the JSON of a message."""
    skipped: Number
    dedupe_ttl_ms: Number
    completed_ttl_ms: Number


@stub("forget")
class Forget(Call[ForgetAnswer], frozen=True, kw_only=True):
    """Deletes the keys of a conversation except `names`. With `only_looks`, only says whether it would."""

    read = staticmethod(answers.read_forget)
    place: Annotated[
        Place,
        "queue lock reply completed memory stats alias behind undelivered sent_again active layout partitions damaged "
        "conversation base ai channel changes change_notes",
    ]
    now_ms: Now
    drop_waiting: Digits
    only_looks: Digits


@stub("rescue")
class Rescue(Call[str], frozen=True, kw_only=True):
    """Checks, and repairs on demand, a conversation that no worker would look at: "stranded", "orphan" or "fine"."""

    read = staticmethod(text)
    place: Annotated[Place, "queue lock reply active wake damaged conversation"]
    now_ms: Now
    repair: Digits


@stub("drop_old")
class DropOld(Call[int], frozen=True, kw_only=True):
    """Makes dead letters of old messages."""

    read = staticmethod(answers.read_count)
    place: Annotated[
        Place,
        "queue lock active wake stats dead reply completed damaged conversation changes change_notes layout partitions",
    ]
    rules: Rules
    now_ms: Now
    before_ms: Number
    limit: Number
    reason: str
    completed_ttl_ms: Number
    dead_letters_max: Number


@stub("inventory", mends=False)
class Inventory(Call[InventoryAnswer], frozen=True, kw_only=True):
    """Counts the messages that workers would answer, in one page of the index."""

    read = staticmethod(answers.read_inventory)
    partition: Annotated[Partition, "active wake dead damaged base"]
    now_ms: Now
    first: Digits
    last: Digits
    before_ms: Number


@stub("survey", mends=False)
class Survey(Call[SurveyAnswer], frozen=True, kw_only=True):
    """Counts conversations, messages and leases, in one page of the index."""

    read = staticmethod(answers.read_survey)
    partition: Annotated[Partition, "active wake dead damaged base"]
    now_ms: Now
    first: Digits
    last: Digits
