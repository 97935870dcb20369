-- gate: decides in a claim which turns must wait for a backend; functions for claim.lua, which use lib and outages.
--
-- A gate holds the backends that the claim has looked at. A backend that is away or resumes has `slots`, the number of turns
-- that may still begin to use it; a backend that works is false.

-- Returns true if no backend is away or resumes, and there is no news. Damaged keys count as none.
local function has_no_outages(base, now_ms)
  local backend = backend_in(base, '')
  local is_done, has_none = guarded_backend(backend, now_ms, function()
    return redis.call('ZCARD', backend.outages) + redis.call('HLEN', backend.news) == 0
  end)
  return has_none or not is_done
end

-- Looks, in one step, whether the queue is held and whether any backend is away.
local function open_gate(partition, now_ms)
  local base = partition.base
  local gate = {base = base, backends = {}, names = {}, is_on_hold = false, is_open = true}
  if redis.call('EXISTS', partition.hold, base .. 'outages', base .. 'outage_news') > 0 then
    gate.is_on_hold = redis.call('EXISTS', partition.hold) == 1
    gate.is_open = on_demand().has_no_outages(base, now_ms)
  end
  return gate
end

-- Returns a backend that is away or resumes; false for one that works. A backend with damaged keys counts as working.
local function troubled(gate, name, now_ms)
  if gate.backends[name] == nil then
    local backend = backend_in(gate.base, name)
    local is_done, is_troubled = guarded_backend(backend, now_ms, function()
      if redis.call('ZSCORE', backend.outages, name) then
        backend.slots = free_slots(backend, now_ms)
        return redis.call('ZCARD', backend.waiting) + redis.call('ZCARD', backend.trials) >= 0
      end
    end)
    if not is_done then
      redis.call('ZREM', backend.outages, name)
    end
    gate.backends[name] = is_done and is_troubled and backend or false
    gate.names[#gate.names + 1] = gate.backends[name] and name or nil
  end
  return gate.backends[name]
end

-- Returns the backends that a turn needs and that are away or resume. A turn with a recorded reply needs only the channel,
-- and one whose reply was sent needs none.
local function needed_backends(gate, place, now_ms)
  local needed, state = {}, redis.call('HGET', place.reply, 'state')
  if state ~= 'sent' then
    needed[1] = not state and troubled(gate, place.ai, now_ms) or nil
    needed[#needed + 1] = troubled(gate, place.channel, now_ms) or nil
  end
  return needed
end

-- Notes that a turn uses backends until its lease ends.
local function use_backends(place, needed, lease_ends)
  for _, backend in ipairs(needed) do
    if backend.slots < math.huge then
      backend.slots = backend.slots - 1
      redis.call('ZADD', backend.trials, digits(lease_ends), place.conversation)
    end
    redis.call('ZREM', backend.waiting, place.conversation)
  end
end

-- Returns the backends that may serve turns now, `count` at most.
local function backends_to_serve(gate, now_ms, count)
  local backends = {}
  for _, name in ipairs(redis.call('ZRANGEBYSCORE', gate.base .. 'outages', '-inf', digits(now_ms), 'LIMIT', 0, count)) do
    backends[#backends + 1] = troubled(gate, name, now_ms) or nil
  end
  return backends
end

-- Returns the time at which a claim next has something to do for a backend, nil if none is away.
local function next_of_outages(gate)
  return tonumber(redis.call('ZRANGE', gate.base .. 'outages', 0, 0, 'WITHSCORES')[2] or nil)
end

-- Returns the time at which a conversation or a backend next needs attention, -1 if none does, or if the queue is held.
-- `sweep` is set while claims look through the whole index.
local function next_attention(partition, gate, now_ms, sweep)
  if gate.is_on_hold then
    return -1
  elseif sweep then
    return now_ms
  end
  local due = tonumber(redis.call('ZRANGE', partition.active, 0, 0, 'WITHSCORES')[2] or -1)
  local at = due >= 0 and not gate.is_open and on_demand().next_of_outages(gate)
  return at and math.min(due, at) or due
end

-- Ends what is left of an outage.
local function end_outage(backend)
  redis.call('DEL', backend.trials)
  redis.call('HDEL', backend.state, 'state', 'since', 'error', 'atOnce', 'probeAt', 'probeMs')
  redis.call('PEXPIRE', backend.state, KNOWN_MS)
  redis.call('ZREM', backend.outages, backend.name)
end

-- Notes when a claim must look at the gate's backends next. A backend that resumes, and for which nothing waits, works again.
local function settle_backends(gate, now_ms)
  for _, name in ipairs(gate.names) do
    local backend = gate.backends[name]
    local state = redis.call('HGET', backend.state, 'state')
    if state ~= 'away' and redis.call('EXISTS', backend.waiting) == 0 then
      end_outage(backend)
    else
      attend(backend, now_ms)
    end
  end
end

-- Takes the news of backends that went away or came back.
local function take_news(gate, now_ms)
  local key, news = gate.base .. 'outage_news', {}
  local found = redis.call('HGETALL', key)
  for index = 1, #found, 2 do
    local backend = troubled(gate, found[index], now_ms)
    local known = backend and redis.call('HMGET', backend.state, 'since', 'error') or {}
    news[#news + 1] = {found[index], found[index + 1], known[1] or '0', known[2] or ''}
  end
  if #news > 0 then
    redis.call('DEL', key)
  end
  return news
end

-- Reads the head of a conversation, once: the messages of a batch and the reply to them, the number of all messages
-- (`waiting`), and the time at which the first came (`oldest`). `is_bare` is true if there is no reply.
local function read_head(place, max_batch, is_bare)
  local reply = is_bare and {false, false, false, false} or redis.call('HMGET', place.reply, 'text', 'state', 'parts', 'size')
  local elements = redis.call('LRANGE', place.queue, 0, max_batch - 1)
  return {
    elements = elements,
    waiting = #elements < max_batch and #elements or redis.call('LLEN', place.queue),
    oldest = elements[1] and stamp_of(elements[1]),
    reply = reply,
    has_reply = reply[1] or reply[2] or reply[3] or reply[4],
    size = size_in(reply[4], reply[3]),
  }
end

-- Returns the messages of a batch, and their size in bytes.
local function messages_of(place, head, size)
  local elements, bytes = head.elements, 0
  if size > #elements and head.waiting > #elements then  -- the limit was higher when the reply was recorded
    elements = redis.call('LRANGE', place.queue, 0, size - 1)
  end
  for index = size + 1, #elements do
    elements[index] = nil
  end
  for _, element in ipairs(elements) do
    bytes = bytes + #element
  end
  return elements, bytes
end
