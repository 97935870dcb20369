-- lib: what the scripts share; the loader puts it in front of each of them.
--
-- A list element is the message's JSON with "addedAt" put in front by `stamp`, so nothing here parses JSON.
-- The lock is a hash. `tries` holds the batch size of each attempt since the head was last finished, as in
-- "3,3,5": the lock exists from the first claim until the batch is finished, and is held while `token` is there.

-- Redis's own clock in Unix ms; simulations and tests may give another.
local function clock_ms(given)
  if given ~= '' then
    return tonumber(given)
  end
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- Large numbers as plain digits: Lua's own conversion would write 1.7e+15.
local function digits(number)
  return string.format('%.0f', number)
end

local function stamp(message, now)
  return '{"addedAt":' .. digits(now) .. ',' .. string.sub(message, 2)
end

local function stamp_of(element)
  return tonumber(string.match(element, '^{"addedAt":(%d+)')) or 0
end

local function unstamped(element)
  return (string.gsub(element, '^{"addedAt":%d+,', '{', 1))
end

-- The due rule; policy.py has it for people. nil when nothing waits.
local function due_at(queue, now, window_ms, max_messages, idle_ms)
  local waiting = redis.call('LLEN', queue)
  if waiting == 0 then
    return nil
  end
  if waiting >= max_messages then
    return now
  end
  local due = stamp_of(redis.call('LINDEX', queue, 0)) + window_ms
  if idle_ms > 0 then
    due = math.min(due, stamp_of(redis.call('LINDEX', queue, -1)) + idle_ms)
  end
  return due
end

-- Puts a conversation into the index and rings when workers may be asleep past that time.
local function schedule(active, wake, conversation, at)
  local first = redis.call('ZRANGE', active, 0, 0, 'WITHSCORES')
  redis.call('ZADD', active, digits(at), conversation)
  if not first[1] or at < tonumber(first[2]) then
    redis.call('XADD', wake, 'MAXLEN', 1, '*', 'at', digits(at))
  end
end

-- After a message was added. In flight or in backoff: whoever ends that schedules the rest. Already due: the
-- conversation keeps its place in the line.
local function schedule_arrival(active, wake, queue, lock, conversation, now, window_ms, max_messages, idle_ms)
  if redis.call('EXISTS', lock) == 0 then
    local scheduled = tonumber(redis.call('ZSCORE', active, conversation) or nil)
    if not scheduled or scheduled > now then
      local due = due_at(queue, now, window_ms, max_messages, idle_ms)
      if due ~= scheduled then
        schedule(active, wake, conversation, due)
      end
    end
  end
end

-- The rest of a conversation after its head is finished: due by its own oldest message, never in the past.
local function schedule_rest(active, wake, queue, conversation, now, window_ms, max_messages, idle_ms)
  local due = due_at(queue, now, window_ms, max_messages, idle_ms)
  if due then
    schedule(active, wake, conversation, math.max(due, now))
  else
    redis.call('ZREM', active, conversation)
  end
end

local function tries_of(lock)
  local tries = {}
  for size in string.gmatch(redis.call('HGET', lock, 'tries') or '', '%d+') do
    tries[#tries + 1] = tonumber(size)
  end
  return tries
end

-- A full Redis refuses the first write of a script if it could need memory, but lets a script finish that has
-- written before. Scripts that work off the queue begin with this write that changes nothing, so that a full Redis drains.
local function allow_when_full(key)
  redis.call('PERSIST', key)
end

-- The holder's fields go, the attempts stay.
local function end_lease(lock)
  redis.call('HDEL', lock, 'token', 'claimId', 'processorId', 'lockedAt', 'expiresAt', 'dueAt', 'size')
end

-- Moves `count` messages from the head to the dead letters. What remains keeps its own attempts; the lock goes
-- when nothing of it is left, else it stays, not held. Returns the remaining tries.
local function give_up(dead, queue, lock, reply, conversation, count, reason, now)
  local tries = tries_of(lock)
  local recorded = redis.call('HGET', reply, 'text')
  for _, element in ipairs(redis.call('LRANGE', queue, 0, count - 1)) do
    local entry = {
      'conversation', conversation, 'reason', reason, 'at', digits(now), 'attempts', #tries, 'message', element,
    }
    if recorded then
      entry[#entry + 1] = 'reply'
      entry[#entry + 1] = recorded
    end
    redis.call('XADD', dead, '*', unpack(entry))
  end
  redis.call('LTRIM', queue, count, -1)
  redis.call('DEL', reply)
  local rest = {}
  for _, size in ipairs(tries) do
    if size > count then
      rest[#rest + 1] = size - count
    end
  end
  end_lease(lock)
  if #rest > 0 then
    redis.call('HSET', lock, 'tries', table.concat(rest, ','))
  else
    redis.call('DEL', lock)
  end
  return rest
end

-- 'held', 'settled' (this token's work was finished before: a repeated call), or 'lost'.
local function standing(lock, stats, token)
  if redis.call('HGET', lock, 'token') == token then
    return 'held'
  end
  if redis.call('HGET', stats, 'settledToken') == token then
    return 'settled'
  end
  return 'lost'
end

-- Remembers which token finished its work last, so that a repeated call is told so instead of 'lost'.
local function note_settled(stats, token, now, stats_ttl_ms)
  redis.call('HSET', stats, 'settledToken', token, 'lastActivity', digits(now))
  redis.call('PEXPIRE', stats, stats_ttl_ms)
end
