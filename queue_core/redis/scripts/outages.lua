-- outages: state of the backends; functions that scripts share.
--
-- A backend is a service that turns need: 'ai', or 'channel:' and an instance, for the channel of that instance. It counts as
-- away when turns of different conversations fail in a row because of it. Then turns that need it wait, and one at a time
-- probes it. When a probe succeeds, work resumes: with each success, one more turn may use it at the same time. Each
-- partition has these keys for a backend N:
-- - backend:N, a hash. `okAt okBy`: time and conversation of the last success; `otherOkAt`: the last success of another
--   conversation. `failed`: a conversation that failed since. (Conversations are kept as tags, which do not name users.)
--   While it is away or work resumes: `state` ('away', 'resuming'), `since`, `error`, `atOnce` (turns that may use it at
--   the same time), `probeAt` and `probeMs` (the time of the next probe, and the wait before it).
-- - backend_waiting:N, a sorted set: conversations that wait for it, in their order.
-- - backend_trials:N, a sorted set: conversations that use it while it is away or work resumes, with the time at which
--   to look whether they still do.
-- - outages, a sorted set: backends that are away or resume, with the time at which a claim has something to do for them.
-- - outage_news, a hash: backend -> 'away' or 'back', until a claim has reported it.

-- Time without any success after which failures of two conversations mean that a backend is away. Under load, two
-- failures in a row happen by chance, but then the last success is never long ago.
local SILENT_MS = 1000
local PROBE_MS = 1000
local PROBE_MS_MAX = 60000
-- Limit on turns at the same time while work resumes; when it is reached, there is no limit any more.
local AT_ONCE_MAX = 64
-- Time after which a claim looks again at a conversation that waits for a backend, since its wait is limited.
local PUT_OFF_MS = 60000
-- Lifetime of the state of a backend that works.
local KNOWN_MS = 3600000

local function backend_in(base, name)
  return {
    base = base,
    name = name,
    state = base .. 'backend:' .. name,
    waiting = base .. 'backend_waiting:' .. name,
    trials = base .. 'backend_trials:' .. name,
    locks = base .. 'processing_lock:',
    outages = base .. 'outages',
    news = base .. 'outage_news',
    wake = base .. 'wake',
    damaged = base .. 'damaged',
  }
end

-- Moves damaged keys of a backend aside, after an error; its state is lost with them.
local function mend_backend(backend, problem, now_ms)
  local keys = {
    outages = backend.outages, outage_news = backend.news, backend = backend.state, backend_waiting = backend.waiting,
    backend_trials = backend.trials, damaged = backend.damaged,
  }
  pcall(mend, keys, words_of(problem), now_ms)
end

-- Runs a function on the keys of a backend, so that its errors do not stop the script. Returns the values of pcall.
local function guarded_backend(backend, now_ms, run)
  local is_done, answer = pcall(run)
  if not is_done then
    mend_backend(backend, answer, now_ms)
  end
  return is_done, answer
end

-- Returns a number that stands for a conversation. Two conversations with the same number count as one.
local function tag_of(conversation)
  local tag = 0
  for index = 1, #conversation do
    tag = (tag * 31 + string.byte(conversation, index)) % 1e12
  end
  return digits(tag)
end

-- Counts the turns that use the backend, without turns whose lease is over, since their worker died.
local function count_trials(backend, now_ms)
  for _, conversation in ipairs(redis.call('ZRANGE', backend.trials, 0, -1)) do
    local expires = number_in(redis.call('HGET', backend.locks .. conversation, 'expiresAt'))
    if expires and expires > now_ms then
      redis.call('ZADD', backend.trials, digits(expires), conversation)
    else
      redis.call('ZREM', backend.trials, conversation)
    end
  end
  return redis.call('ZCARD', backend.trials)
end

-- Returns the time of the next probe. If it is further away than the wait before a probe, the clock was set back.
local function probe_time(probe_at, probe_ms, now_ms)
  local at = number_in(probe_at) or 0
  return at <= now_ms + (number_in(probe_ms) or 0) and at or now_ms
end

-- Returns how many more turns may begin to use the backend now.
local function free_slots(backend, now_ms)
  local known = redis.call('HMGET', backend.state, 'state', 'atOnce', 'probeAt', 'probeMs')
  local at_once = number_in(known[2]) or 1
  if known[1] == 'away' and probe_time(known[3], known[4], now_ms) > now_ms then
    return 0
  elseif at_once >= AT_ONCE_MAX then
    return math.huge
  end
  return at_once - count_trials(backend, now_ms)
end

-- Returns the time at which a claim next has something to do for the backend.
local function time_to_attend(backend, now_ms)
  local known = redis.call('HMGET', backend.state, 'state', 'atOnce', 'probeAt', 'probeMs')
  local at_once = number_in(known[2]) or 1
  local first = redis.call('ZRANGE', backend.trials, 0, 0, 'WITHSCORES')[2]
  if known[1] == 'away' and redis.call('EXISTS', backend.waiting) == 0 then
    return now_ms + PUT_OFF_MS
  elseif first and at_once < AT_ONCE_MAX and redis.call('ZCARD', backend.trials) >= at_once then
    return math.max(tonumber(first), now_ms)
  elseif known[1] == 'away' then
    return math.max(probe_time(known[3], known[4], now_ms), now_ms)
  end
  return now_ms
end

-- Notes when a claim next has something to do for the backend, and wakes workers that may be asleep until later.
local function attend(backend, now_ms)
  local at = time_to_attend(backend, now_ms)
  local before = tonumber(redis.call('ZSCORE', backend.outages, backend.name) or nil)
  redis.call('ZADD', backend.outages, digits(at), backend.name)
  if not before or at < before then
    ring(backend, at)
  end
end

-- Lets a conversation wait for the backend. Its time in the index is only for a look whether it has waited too long;
-- `until_ms` is when the wait becomes too long, if that is known.
local function put_off(place, backend, now_ms, until_ms)
  local look_at = math.min(now_ms + PUT_OFF_MS, math.max(until_ms or math.huge, now_ms) + 1)
  redis.call('ZADD', backend.waiting, 'NX', digits(now_ms), place.conversation)
  redis.call('ZADD', place.active, digits(look_at), place.conversation)
end

-- Begins to resume work, or allows one more turn at the same time. The wait of messages counts from now, so none expires.
local function resume(backend, state, now_ms)
  if state == 'away' then
    redis.call('HSET', backend.state, 'state', 'resuming', 'atOnce', 2)
    redis.call('HSET', backend.news, backend.name, 'back')
    restart_waits(backend.base, now_ms)
  else
    redis.call('HINCRBY', backend.state, 'atOnce', 1)
  end
  attend(backend, now_ms)
end

local function succeed_again(place, name, state, now_ms)
  local backend = backend_in(place.base, name)
  redis.call('ZREM', backend.trials, place.conversation)
  resume(backend, state, now_ms)
end

-- Returns true if further successes in this millisecond would change nothing: the backend works, and has served two
-- conversations in it.
local function succeed(place, name, now_ms)
  local key, tag, at = place.base .. 'backend:' .. name, tag_of(place.conversation), digits(now_ms)
  local known = redis.call('HMGET', key, 'okBy', 'okAt', 'failed', 'state', 'otherOkAt')
  local works = not known[3] and not known[4]
  if works and known[2] == at and known[5] == at then
    return true
  end
  local is_second = known[1] and known[1] ~= tag
  if is_second then
    redis.call('HSET', key, 'okBy', tag, 'okAt', at, 'otherOkAt', known[2])
  else
    redis.call('HSET', key, 'okBy', tag, 'okAt', at)
  end
  if known[3] then
    redis.call('HDEL', key, 'failed')
  end
  if known[4] then
    on_demand().succeed_again(place, name, known[4], now_ms)
  elseif not known[1] then
    redis.call('PEXPIRE', key, KNOWN_MS)
  end
  return works and is_second and known[2] == at
end

-- Notes that the backend named `name` served the conversation. An error in it does not stop the script.
local function note_success(place, name, now_ms, group)
  if group[name] then
    return
  end
  local is_done, answer = pcall(succeed, place, name, now_ms)
  if is_done then
    group[name] = answer
  else
    local demanded = on_demand()
    demanded.mend_backend(demanded.backend_in(place.base, name), answer, now_ms)
  end
end

local function end_trials(place, now_ms)
  for _, name in ipairs({place.ai, place.channel}) do
    local backend = backend_in(place.base, name)
    if redis.call('ZREM', backend.trials, place.conversation) == 1 then
      attend(backend, now_ms)
    end
  end
end

-- Ends a turn's use of all backends, without judging whether they work. An error in it does not stop the script.
local function release_backends(place, now_ms)
  if redis.call('EXISTS', place.base .. 'outages') == 1 then
    pcall(on_demand().end_trials, place, now_ms)
  end
end

-- Returns true if the first message after a turn of `size` messages came early enough to join it.
local function is_joined(place, size, supersede_ms)
  local joining = redis.call('LINDEX', place.queue, size)
  if not joining then
    return false
  end
  return stamp_of(joining) - stamp_of(redis.call('LINDEX', place.queue, 0)) < supersede_ms
end

-- Ends a lease whose turn has changed, and schedules the turn, not later than `latest`.
local function start_again(place, rules, token, latest, now_ms, stats_ttl_ms)
  note_settled(place, token, now_ms, stats_ttl_ms)
  take_back_lease(place)
  schedule_rest(place, rules, now_ms, latest)
  if redis.call('EXISTS', place.queue) == 0 then
    redis.call('DEL', place.lock)
  end
  release_backends(place, now_ms)
end

local function has_served_others(place, name, took_ms, failed_ms, now_ms)
  local state = backend_in(place.base, name).state
  local known = redis.call('HMGET', state, 'state', 'okBy', 'okAt', 'otherOkAt')
  if known[1] == 'away' then
    return false
  end
  local began_ms = now_ms - took_ms
  if failed_ms and not known[1] then
    began_ms = math.min(began_ms, failed_ms)
  end
  local at = tonumber((known[2] ~= tag_of(place.conversation) and known[3] or known[4]) or nil)
  return at ~= nil and at >= began_ms and at <= now_ms
end

-- Returns true if a failure is the turn's own fault, since the backend served another conversation in the last `took_ms`. If
-- the backend is not resuming, a success since `failed_ms`, when the turn failed before, is enough. A success in the future
-- comes from a clock that was set back, and is ignored.
local function is_own_fault(place, name, took_ms, failed_ms, now_ms)
  local is_known, has_served = pcall(has_served_others, place, name, took_ms, failed_ms, now_ms)
  return not is_known or has_served
end

-- Sets the time of the next probe: after `probe_ms`, or the wait that the backend asks for if that is longer.
local function set_probe(backend, probe_ms, now_ms, asked_ms)
  local wait_ms = math.max(probe_ms, asked_ms)
  redis.call('HSET', backend.state, 'probeMs', digits(wait_ms), 'probeAt', digits(now_ms + wait_ms))
end

local function begin_outage(backend, error, now_ms, asked_ms)
  redis.call('HSET', backend.state, 'state', 'away', 'since', digits(now_ms), 'error', error, 'atOnce', 1)
  set_probe(backend, PROBE_MS, now_ms, asked_ms)
  redis.call('HDEL', backend.state, 'failed')
  redis.call('PERSIST', backend.state)
  redis.call('HSET', backend.news, backend.name, 'away')
end

local function fail_backend(place, backend, error, now_ms, asked_ms)
  local known = redis.call('HMGET', backend.state, 'state', 'failed', 'okAt', 'probeMs')
  local was_trial = known[1] and redis.call('ZREM', backend.trials, place.conversation) == 1
  local ok_at, tag = number_in(known[3]), tag_of(place.conversation)
  if known[1] == 'away' then
    redis.call('HSET', backend.state, 'error', error)
    if was_trial then
      set_probe(backend, math.min(2 * (number_in(known[4]) or PROBE_MS), PROBE_MS_MAX), now_ms, asked_ms)
    end
  elseif known[2] and known[2] ~= tag and not (ok_at and math.abs(now_ms - ok_at) < SILENT_MS) then
    begin_outage(backend, error, now_ms, asked_ms)
  else
    redis.call('HSETNX', backend.state, 'failed', tag)
    if not known[1] then
      redis.call('PEXPIRE', backend.state, KNOWN_MS)
    else
      attend(backend, now_ms)
    end
    return
  end
  if redis.call('EXISTS', place.queue) == 1 then
    put_off(place, backend, now_ms)
  end
  attend(backend, now_ms)
end

-- Notes that a turn failed because of the backend. While the backend is away, the conversation waits for it.
-- `asked_ms` is a wait that the backend asks for. An error in it does not stop the script.
local function note_failure(place, name, error, now_ms, asked_ms)
  local backend = backend_in(place.base, name)
  guarded_backend(backend, now_ms, function()
    fail_backend(place, backend, error, now_ms, asked_ms)
  end)
end

-- Sets the next probe of each backend that is away to now: the clock was set back, so the times of the probes lie too far
-- ahead.
local function probe_at_once(base, now_ms)
  for _, name in ipairs(redis.call('ZRANGE', base .. 'outages', 0, -1)) do
    local backend = backend_in(base, name)
    if redis.call('HGET', backend.state, 'state') == 'away' then
      redis.call('HSET', backend.state, 'probeAt', digits(now_ms))
    end
    redis.call('ZADD', backend.outages, digits(now_ms), name)
  end
end

-- Removes a conversation from those that wait for its backends or use them.
local function forget_waits(place)
  for _, name in ipairs({place.ai, place.channel}) do
    local backend = backend_in(place.base, name)
    redis.pcall('ZREM', backend.waiting, place.conversation)
    redis.pcall('ZREM', backend.trials, place.conversation)
  end
end
