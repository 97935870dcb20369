-- lib: functions that the scripts share; the loader puts them in front of each script.
--
-- A list element is the message's JSON, to which `stamp` adds "addedAt" at the front, so that no JSON is parsed here.
-- The lock is a hash. `tries` lists the batch size of each attempt since the head was last finished, as in "3,3,5"; it
-- exists from the first claim until the batch is finished. The lock is held while `token` exists.
-- A superseded turn keeps `latest` in the lock: the latest time at which it is due, even if more messages join. `answered`
-- is a JSON array with the ids of messages in flight that were answered without the queue. `setbacks` counts attempts that
-- failed because a backend was away (named in `awaited`) or by a rate limit (`awaited` is 'limit'); `tries` does not list
-- them. `again` is the time of the next attempt.
--
-- `on_demand().name(…)` calls a function of these files that few calls of a script need: the loader puts it into the function
-- `on_demand`, so that Redis creates it only then.
--
-- A `place` holds the keys of a conversation and of its partition, `rules` the settings that say when a turn is due.
-- `group` is an empty table at the beginning of an EVALSHA. Calls that go together in one (gathered.py) keep in it what the
-- calls after them need not find out again. Nothing else changes the data between them.

-- Returns the time in Unix ms: Redis's own, unless a simulation or a test gives one.
local function clock_ms(given)
  if given ~= '' then
    return tonumber(given)
  end
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- Reads a number that is stored; nil if there is none, or if the text is not a finite number. Comparisons with NaN are false.
local function number_in(text)
  local number = tonumber(text or nil)
  return number and number - number == 0 and number or nil
end

-- Reads a number of messages that is stored; nil for everything else.
local function count_in(text)
  return number_in(string.match(text or '', '^%d+$'))
end

-- Writes a large number as plain digits; Lua's own conversion would write 1.7e+15.
local function digits(number)
  return string.format('%d', number)
end

-- Reads the layout: {oldest, version, since, ids, partitions}, each false if it is not noted. Returns an error reply for a
-- damaged hash; callers go on nevertheless. Raises an error if only processes of a newer layout, or with another number of
-- partitions, may work here.
local function read_layout(place)
  local layout = redis.pcall('HMGET', place.layout, 'oldest', 'version', 'since', 'ids', 'partitions')
  local oldest, noted = layout[1], layout[5]
  if oldest and (number_in(oldest) or 0) > LAYOUT_KNOWN then
    error('NEWER_LAYOUT ' .. oldest)
  elseif noted and noted ~= place.partitions then
    error('PARTITIONS ' .. noted .. ' ' .. place.partitions)
  end
  return layout
end

-- Returns the time, in Unix ms, since which messages are stored in this layout, and notes it before the first claim or
-- message; 0 if no older process had used the partition then. The key `looks` shows an older worker that has only waited so
-- far: the web process beside it may store its first message at any time. keys.py describes the hash. Raises an error if this
-- layout is too old. Also returns the list of layers of ids, see seen.lua.
local function layout_since(place, now_ms)
  local layout = read_layout(place)
  local version = number_in(layout[2])
  if version and version >= LAYOUT_VERSION then
    return number_in(layout[3]) or now_ms, layout[4]
  end
  local looks = string.gsub(place.layout, 'layout$', 'looks')  -- few stubs declare this key
  local is_used = version or layout.err or redis.call('EXISTS', place.active, place.wake, place.dead, looks) > 0
  local since = is_used and now_ms or 0
  redis.pcall('HSET', place.layout, 'version', LAYOUT_VERSION, 'since', digits(since))
  return since, layout[4]
end

local function stamp(message, now_ms)
  return '{"addedAt":' .. digits(now_ms) .. ',' .. string.sub(message, 2)
end

local function stamp_of(element)
  return tonumber(string.match(element, '^{"addedAt":(%d+)')) or 0
end

local function unstamped(element)
  return (string.gsub(element, '^{"addedAt":%d+,', '{', 1))
end

-- Returns the index and the time of arrival of the first message from index `first` to `last`, in steps of `step`; nil if
-- there is none. An element without a stamp is not a message.
local function stamped_from(place, first, last, step)
  for index = first, last, step do
    local at = stamp_of(redis.call('LINDEX', place.queue, index))
    if at > 0 then
      return index, at
    end
  end
end

-- Counts the elements from index `first` on that arrived before a time. The list is in the order of arrival, and an element
-- that is not a message counts as arrived with the next message.
local function older_messages(place, first, before_ms)
  local low, high = first, redis.call('LLEN', place.queue)
  while low < high do
    local middle = math.floor((low + high) / 2)
    local index, at = stamped_from(place, middle, high - 1, 1)
    if at and at < before_ms then
      low = index + 1
    else
      high = middle
    end
  end
  return low - first
end

local function attempts(count)
  return count .. (count == 1 and ' attempt' or ' attempts')
end

-- Writes a duration for people: in seconds below two hours, else in hours.
local function span(passed_ms)
  local seconds = math.floor(passed_ms / 1000)
  return seconds < 7200 and seconds .. ' s' or math.floor(seconds / 3600) .. ' h'
end

-- Lifetime of statistics that a script makes without knowing the setting.
local STATS_TTL_MS = 3600000

-- Returns the keys of a conversation that a script finds in a partition, and the names of its backends; the keys share the
-- partition's slot.
local function place_in(partition, conversation)
  return {
    base = partition.base,
    conversation = conversation,
    ai = 'ai',
    channel = 'channel:' .. string.match(conversation, '^[^:]*'),
    queue = partition.base .. 'msg_queue:' .. conversation,
    lock = partition.base .. 'processing_lock:' .. conversation,
    reply = partition.base .. 'reply:' .. conversation,
    completed = partition.base .. 'completed:' .. conversation,
    changes = partition.base .. 'changes:' .. conversation,
    change_notes = partition.base .. 'change_notes:' .. conversation,
    stats = partition.base .. 'queue_stats:' .. conversation,
    behind = partition.base .. 'behind:' .. conversation,
    active = partition.active,
    wake = partition.wake,
    dead = partition.dead,
    damaged = partition.damaged,
  }
end

-- A jump of the clock by more than this counts as setting the clock.
local STEP_MS = 1000

-- Returns the due time of a conversation, nil when nothing waits. policy.py has the same rule in Python. If the oldest
-- message came in the future, the clock was set back; how long it has waited is unknown, so it is due. A caller that knows the
-- number of messages, and when the oldest one came, passes them on.
local function due_at(place, rules, now_ms, waiting, oldest)
  waiting = waiting or redis.call('LLEN', place.queue)
  if waiting == 0 then
    return nil
  end
  if rules.max_messages > 0 and waiting >= rules.max_messages then
    return now_ms
  end
  local limit_ms = rules.idle_ms > 0 and rules.cap_ms > 0 and rules.cap_ms or rules.window_ms
  oldest = oldest or stamp_of(redis.call('LINDEX', place.queue, 0))
  if oldest > now_ms + STEP_MS then
    return now_ms
  end
  local due = oldest + limit_ms
  if rules.idle_ms > 0 then
    due = math.min(due, stamp_of(redis.call('LINDEX', place.queue, -1)) + rules.idle_ms)
  end
  return due
end

-- Tells all workers that something is due at a time of which they may not know; doorbell.py hears it.
local function ring(place, at)
  redis.call('XADD', place.wake, 'MAXLEN', 1, '*', 'at', digits(at))
end

-- Puts a conversation into the index, and tells workers that may be asleep until a later time. `group.first` is the earliest
-- time of which workers know.
local function schedule(place, at, group)
  local first = group and group.first
  if not first then
    first = tonumber(redis.call('ZRANGE', place.active, 0, 0, 'WITHSCORES')[2] or math.huge)
  end
  if at < first then
    ring(place, at)
  end
  redis.call('ZADD', place.active, digits(at), place.conversation)
  if group then
    group.first = math.min(at, first)
  end
end

-- Returns the earlier of a due time and `latest`, the limit of a superseded turn (nil for other turns).
local function no_later(due, latest)
  return latest and math.min(due, tonumber(latest)) or due
end

-- Schedules a conversation to which a message was added. If it is in flight or in backoff, it is scheduled later, at the end
-- of the attempt; if it is due already, it keeps its due time. `waiting` is the number of messages, if the caller knows it and
-- has just added one: with 1, there is no due time to keep. `is_free` is true if there is no lock.
local function schedule_arrival(place, rules, now_ms, waiting, is_free, group)
  local lock = is_free and {} or redis.call('HMGET', place.lock, 'tries', 'latest', 'again')
  if not lock[1] and (number_in(lock[3]) or 0) <= now_ms then
    local is_only = waiting == 1
    local scheduled = not is_only and tonumber(redis.call('ZSCORE', place.active, place.conversation) or nil)
    if not scheduled or scheduled > now_ms then
      local due = no_later(due_at(place, rules, now_ms, waiting, is_only and now_ms or nil), lock[2])
      if due ~= scheduled then
        schedule(place, due, group)
      end
    end
  end
end

-- Schedules the remaining messages of a conversation whose head is finished, never in the past.
local function schedule_rest(place, rules, now_ms, latest)
  local due = due_at(place, rules, now_ms)
  if due then
    schedule(place, math.max(no_later(due, latest), now_ms))
  else
    redis.call('ZREM', place.active, place.conversation)
  end
end

-- Returns the time of the first look at a lease: the middle of the lease. A living worker renews the lease before that;
-- claim.lua says why the look is so early.
local function look_at(now_ms, lock_ttl_ms)
  return now_ms + math.floor(lock_ttl_ms / 2)
end

-- Tells all workers when to look at a new lease, which may be earlier than the times that they know.
local function ring_for_look(place, now_ms, lock_ttl_ms)
  ring(place, look_at(now_ms, lock_ttl_ms))
end

local function schedule_look(place, now_ms, lock_ttl_ms)
  redis.call('ZADD', place.active, digits(look_at(now_ms, lock_ttl_ms)), place.conversation)
end

-- Schedules a conversation earlier that would wait too long, since the clock was set back. Returns true if it did.
local function pull_forward(place, rules, now_ms, lock_ttl_ms)
  local scheduled = tonumber(redis.call('ZSCORE', place.active, place.conversation) or nil)
  local lock = redis.call('HMGET', place.lock, 'token', 'tries', 'waitMs', 'latest', 'again')
  local latest, at
  if lock[1] then
    latest, at = now_ms + lock_ttl_ms, now_ms  -- claim.lua looks at the lease
  elseif lock[2] or lock[5] then
    latest = now_ms + (number_in(lock[3]) or 3600000)
  else
    latest = math.max(no_later(due_at(place, rules, now_ms) or now_ms, lock[4]), now_ms)
  end
  if not scheduled or scheduled <= latest + STEP_MS then
    return false
  end
  schedule(place, at or latest)
  return true
end

local function tries_in(list)
  local tries = {}
  for size in string.gmatch(list or '', '[1-9]%d*') do
    tries[#tries + 1] = tonumber(size)
  end
  return tries
end

local function tries_of(place)
  return tries_in(redis.call('HGET', place.lock, 'tries'))
end

-- Returns the number of messages that a reply with these fields answers, nil without a reply.
local function size_in(size, parts)
  if string.match(size or '1', '^[1-9]%d*$') and string.match(parts or '1', '^%d+$') then
    return tonumber(size or nil)
  end
  error('damaged: a reply with the size ' .. (size or '') .. ' and parts ' .. (parts or ''))
end

-- Returns the number of messages at the head that the recorded reply answers, nil without a reply.
local function reply_size(place)
  local reply = redis.call('HMGET', place.reply, 'size', 'parts')
  return size_in(reply[1], reply[2])
end

-- A full Redis refuses a script's first write if it could need memory, and allows all writes after it. Scripts that
-- make the queue shorter begin with this write, which changes nothing, so that they work on a full Redis.
local function allow_when_full(key, group)
  if not (group and group.is_allowed) then
    redis.call('PERSIST', key)
  end
  if group then
    group.is_allowed = true
  end
end

-- Returns Redis's error if it is full, nil if not. The write, which a full Redis refuses, at most adds an empty list of layers.
-- A gathered script needs this before its first call: a write of one call that needs no memory would allow those of all calls
-- after it.
local function refusal_when_full(layout)
  local answer = redis.pcall('HSETNX', layout, 'ids', '')
  return type(answer) == 'table' and string.find(answer.err, 'OOM', 1, true) and answer or nil
end

-- Deletes the holder's fields from the lock; the attempts stay.
local function end_lease(place)
  redis.call('HDEL', place.lock, 'token', 'claimId', 'processorId', 'lockedAt', 'expiresAt', 'dueAt', 'size')
end

-- Ends a lease and takes its attempt back, as if it had not begun. Returns the remaining tries.
local function take_back_lease(place)
  local tries = tries_of(place)
  tries[#tries] = nil
  end_lease(place)
  if #tries > 0 then
    redis.call('HSET', place.lock, 'tries', table.concat(tries, ','))
  else
    redis.call('HDEL', place.lock, 'tries')
  end
  return tries
end

-- Returns the id of a message, nil for a value that is not a message.
local function id_of(element)
  local readable, message = pcall(cjson.decode, element)
  return readable and type(message) == 'table' and message['id'] or nil
end

-- Lets the wait of all messages count from now, after an outage in which they could not be answered.
local function restart_waits(base, now_ms)
  redis.pcall('HSET', base .. 'looks', 'counts_from', digits(now_ms))
end

-- Returns true if there is no room for dead letters. Then the messages stay in their conversation: the lease ends, and the
-- conversation is due again after a minute. If it had attempts, `given_up` in the lock keeps the reason for giving up.
local function must_wait(place, count, reason, now_ms, dead_letters_max)
  if redis.call('XLEN', place.dead) < dead_letters_max then
    return false
  end
  end_lease(place)
  if redis.call('HEXISTS', place.lock, 'tries') == 1 then
    redis.call('HSET', place.lock, 'given_up', reason, 'given_up_size', count)
  end
  schedule(place, now_ms + 60000)
  return true
end

-- Counts messages that left the list unfinished, in the statistics, which get a default time to live if they have none.
local function count_gone(place, count, now_ms)
  if count > 0 then
    redis.pcall('HINCRBY', place.stats, 'gone', count)
    redis.pcall('HSET', place.stats, 'at', digits(now_ms))
    if redis.pcall('PTTL', place.stats) == -1 then
      redis.pcall('PEXPIRE', place.stats, STATS_TTL_MS)
    end
  end
end

-- Moves `count` messages from the head to the dead letters. Messages after them keep their own attempts. The lock is
-- deleted when no attempts are left; otherwise it stays, without a holder. Returns the remaining tries.
local function give_up(place, count, reason, now_ms)
  local tries = tries_of(place)
  local recorded = redis.call('HGET', place.reply, 'text')
  for _, element in ipairs(redis.call('LRANGE', place.queue, 0, count - 1)) do
    local entry = {
      'conversation', place.conversation, 'reason', reason, 'at', digits(now_ms), 'attempts', #tries,
      'message', element,
    }
    if recorded then
      entry[#entry + 1] = 'reply'
      entry[#entry + 1] = recorded
    end
    redis.call('XADD', place.dead, '*', unpack(entry))
  end
  redis.call('LTRIM', place.queue, count, -1)
  redis.call('DEL', place.reply)
  local rest = {}
  for _, size in ipairs(tries) do
    if size > count then
      rest[#rest + 1] = size - count
    end
  end
  end_lease(place)
  if #rest > 0 then
    redis.call('HDEL', place.lock, 'latest', 'answered', 'given_up')
    redis.call('HSET', place.lock, 'tries', table.concat(rest, ','))
  else
    redis.call('DEL', place.lock)
  end
  count_gone(place, count, now_ms)
  return rest
end

-- Returns 'held', 'settled' (an earlier call finished this token's work), or 'lost'.
local function standing(place, token)
  if redis.call('HGET', place.lock, 'token') == token then
    return 'held'
  end
  if redis.call('HGET', place.stats, 'token') == token then
    return 'settled'
  end
  return 'lost'
end

-- Remembers the token that finished last, so that a repeated call is answered 'settled' instead of 'lost', and counts the
-- messages that it finished, if any. From then on, the statistics live for at least three quarters of their time.
local function note_settled(place, token, now_ms, stats_ttl_ms, count)
  local known = redis.call('HMGET', place.stats, 'done', 'at')
  local done, quarter_ms = (number_in(known[1]) or 0) + (count or 0), math.ceil(stats_ttl_ms / 4)
  redis.call('HSET', place.stats, 'token', token, 'at', digits(now_ms), 'done', digits(done))
  if math.floor((number_in(known[2]) or 0) / quarter_ms) ~= math.floor(now_ms / quarter_ms) then
    redis.call('PEXPIRE', place.stats, stats_ttl_ms)
  end
end
