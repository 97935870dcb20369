-- damage: functions about damaged keys: keys of a wrong type, and locks, replies and holds with values that no script writes.
-- Other programs or people cause them. The loader puts these functions after `lib`, and runs each script in `guarded`.
--
-- A damaged key is moved aside, so that it does not stop other conversations: it is renamed to `damaged:<id>`, and the entry
-- of that id in the stream `damaged` says what the key was, and which error it caused.

-- Limit on damaged keys that are kept, in case another program damages keys again and again. Messages are always kept.
local KEPT_MAX = 1000

local function words_of(problem)
  return type(problem) == 'table' and problem.err or tostring(problem)
end

-- Returns true for an error that comes from the data, and not from a missing right or the state of the server.
local function is_about_data(problem)
  for _, words in ipairs({'WRONGTYPE', 'attempt to ', 'bad argument', 'not an integer', 'not a valid', 'damaged'}) do
    if string.find(problem, words, 1, true) then
      return true
    end
  end
  return false
end

local function type_of(key)
  local answer = redis.call('TYPE', key)
  return type(answer) == 'table' and answer.ok or answer
end

-- Moves a key aside. `keys` are those of a conversation or of a partition, `name` is the key's name there.
local function set_aside(keys, name, problem, now_ms)
  local key, kept_as = keys[name], keys.damaged .. ':' .. name
  redis.call('RENAME', key, kept_as)
  local kind = type_of(kept_as)
  local may_hold_messages = name == 'queue' or kind == 'list' or kind == 'stream'
  if not may_hold_messages and redis.call('XLEN', keys.damaged) >= KEPT_MAX then
    redis.call('DEL', kept_as)
    return
  end
  local conversation = keys['conversation'] or ''
  local is_its_key = string.sub(key, -#conversation - 1) == ':' .. conversation
  local id = redis.call('XADD', keys.damaged, '*', 'name', name, 'key', key, 'type', kind, 'at', digits(now_ms),
    'conversation', is_its_key and conversation or '', 'error', string.sub(problem, 1, 300))
  redis.call('RENAME', kept_as, keys.damaged .. ':' .. id)
end

local function is_count(value)
  return not value or string.match(value, '^%d+$') and #value <= 16
end

-- Returns true for a hash whose values the queue can have written. Only those of locks, replies and holds are looked at.
local function is_sound(key, name)
  if name == 'hold' then
    local since = redis.call('HGET', key, 'since')
    return since and is_count(since)
  elseif name ~= 'lock' and name ~= 'reply' then
    return true
  end
  local fields = {}
  local raw = redis.call('HGETALL', key)
  for index = 1, #raw, 2 do
    fields[raw[index]] = raw[index + 1]
  end
  local counts = {
    'token', 'lockedAt', 'expiresAt', 'dueAt', 'latest', 'waitMs', 'setbacks', 'again', 'failedAt', 'given_up_size', 'parts',
    'recordedAt', 'sentAt',
  }
  for _, name in ipairs(counts) do
    if not is_count(fields[name]) then
      return false
    end
  end
  if name == 'reply' then
    return fields.text and fields.size and string.match(fields.size, '^[1-9]%d*$') and #fields.size <= 9
  end
  local answered = fields.answered or '[]'
  return string.match(fields.tries or '1', '^[%d,]+$') and is_count(fields.size) and pcall(cjson.decode, answered)
    and type(cjson.decode(answered)) == 'table'
end

-- Moves every damaged key of a conversation or a partition aside. Returns their number. A damaged hold is replaced by a sound
-- one, since workers must not begin by themselves.
local function mend(keys, problem, now_ms)
  local types = {
    {'damaged', 'stream'}, {'queue', 'list'}, {'completed', 'list'}, {'lock', 'hash'}, {'reply', 'hash'},
    {'stats', 'hash'}, {'last_claim', 'hash'}, {'looks', 'hash'}, {'hold', 'hash'}, {'layout', 'hash'}, {'active', 'zset'},
    {'wake', 'stream'}, {'dead', 'stream'}, {'token', 'string'},
    {'changes', 'hash'}, {'change_notes', 'hash'},
    {'outages', 'zset'}, {'outage_news', 'hash'}, {'backend', 'hash'}, {'backend_waiting', 'zset'},
    {'backend_trials', 'zset'}, {'reports', 'hash'}, {'reports_due', 'zset'}, {'undelivered', 'list'},
    {'alias', 'string'}, {'names', 'hash'}, {'behind', 'hash'},
  }
  local count = 0
  for _, wanted in ipairs(types) do
    local name = wanted[1]
    local kind = keys[name] and type_of(keys[name]) or 'none'
    if kind ~= 'none' and kind ~= wanted[2] or kind == 'hash' and not is_sound(keys[name], name) then
      set_aside(keys, name, problem, now_ms)
      if name == 'hold' then
        redis.call('HSET', keys[name], 'since', digits(now_ms))
      end
      count = count + 1
    end
  end
  return count
end

-- Runs a script, or a function with arguments. After an error, moves damaged keys aside and runs the script once more. If
-- no key is damaged, raises the error. So before a script writes anything that must not be written twice, it must have read
-- or written all other keys.
local function guarded(keys, now_ms, run, ...)
  local is_done, answer = pcall(run, ...)
  if is_done then
    return answer
  end
  if on_demand().mend(keys, on_demand().words_of(answer), now_ms) == 0 then
    error(answer, 0)
  end
  return run(...)
end
