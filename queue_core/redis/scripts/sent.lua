-- sent: functions about the ids that providers gave to replies.
--
-- An id is kept as a fingerprint of 16 bytes, a field of a hash that is small enough for Redis to pack it densely:
-- `<sent>:<slot>.<bucket>`. The slot is the time of the send in steps of SENT_SLOT_MS, the bucket the number in the
-- first 12 bits of the fingerprint. The buckets of a slot expire together, when its last id was kept for long enough:
-- an id is kept for `ttl_ms`, and at most a slot longer.
-- The value is a note: the conversation, and after a blank the other data kept of the reply. Once the conversation has noted
-- a failure of the reply, a second field says so, whose value is the conversation alone.
--
-- `reports` holds reports of providers on unknown ids, `reports_due` the time at which each must be handled. Their fields
-- begin with the kind of the report: 'o' for a message of the bot's own number, 'f' for a failure.

local SENT_SLOT_MS = 21600000
local SENT_BUCKETS = 4096

local function sent_bucket(partition, slot, bucket)
  return partition.sent .. ':' .. digits(slot) .. '.' .. digits(bucket)
end

local function sent_bucket_of(partition, slot, fingerprint)
  local first, second = string.byte(fingerprint, 1, 2)
  return sent_bucket(partition, slot, first * 16 + math.floor(second / 16))
end

local function sent_field(fingerprint)
  return string.sub(fingerprint, 2)
end

-- Returns the field which says that the conversation has noted a failure of the reply. It is longer than fields of ids.
local function failed_field(fingerprint)
  return 'f' .. sent_field(fingerprint)
end

-- Returns the newest slot that may hold ids, and the oldest. The newest lies one slot ahead, in case the clock was set back.
local function sent_slots(now_ms, ttl_ms)
  local slot = math.floor(now_ms / SENT_SLOT_MS)
  return slot + 1, slot - math.ceil(ttl_ms / SENT_SLOT_MS)
end

-- Returns the note on the reply with this id, and its bucket; nil for an unknown id. A damaged bucket counts as empty.
local function note_of_sent(partition, fingerprint, now_ms, ttl_ms)
  local newest, oldest = sent_slots(now_ms, ttl_ms)
  for slot = newest, oldest, -1 do
    local bucket = sent_bucket_of(partition, slot, fingerprint)
    local note = redis.pcall('HGET', bucket, sent_field(fingerprint))
    if type(note) == 'string' then
      return note, bucket
    end
  end
end

-- Puts a note into a bucket. A bucket of a wrong type is moved aside.
local function keep_sent(partition, bucket, fingerprint, note, now_ms)
  local answer = redis.pcall('HSET', bucket, sent_field(fingerprint), note)
  if type(answer) == 'table' then
    local problem = tostring(answer.err)
    if not is_about_data(problem) then
      error(problem, 0)
    end
    set_aside({bucket = bucket, damaged = partition.damaged}, 'bucket', problem, now_ms)
    redis.call('HSET', bucket, sent_field(fingerprint), note)
  end
end
