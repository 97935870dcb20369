-- Commands of keys of any type.

local commands, data = ...
local clock, fail, find, forget, keep, text, whole, digits, SYNTAX =
  data.clock, data.fail, data.find, data.forget, data.keep, data.text, data.whole, data.digits, data.SYNTAX

function commands.DEL(...)
  local count = 0
  for index = 1, select('#', ...) do
    local key = text((select(index, ...)))
    if find(key) then
      forget(key)
      count = count + 1
    end
  end
  return count
end
commands.UNLINK = commands.DEL

function commands.EXISTS(...)
  local count = 0
  for index = 1, select('#', ...) do
    if find(text((select(index, ...)))) then
      count = count + 1
    end
  end
  return count
end

function commands.TYPE(key)
  local entry = find(text(key))
  return {ok = entry and entry.kind or 'none'}
end

function commands.RENAME(from, to)
  from, to = text(from), text(to)
  local entry = find(from)
  if not entry then
    fail('ERR no such key')
  end
  forget(from)
  forget(to)
  keep(to, entry)
  return {ok = 'OK'}
end

local function expire_at(key, at_ms)
  local entry = find(text(key))
  if not entry then
    return 0
  end
  if at_ms <= clock.ms then
    forget(text(key))
  else
    entry.expires = at_ms
  end
  return 1
end

function commands.PEXPIRE(key, wait_ms)
  return expire_at(key, clock.ms + whole(wait_ms))
end

function commands.EXPIRE(key, wait_s)
  return expire_at(key, clock.ms + 1000 * whole(wait_s))
end

function commands.PERSIST(key)
  local entry = find(text(key))
  if not entry or not entry.expires then
    return 0
  end
  entry.expires = nil
  return 1
end

function commands.PTTL(key)
  local entry = find(text(key))
  if not entry then return -2 end
  return entry.expires and entry.expires - clock.ms or -1
end

function commands.TTL(key)
  local left_ms = commands.PTTL(key)
  return left_ms < 0 and left_ms or math.floor((left_ms + 500) / 1000)
end

-- Returns true if a key matches a pattern with *, ?, [abc], [^a-z], and \ before a character.
local function matches(key, pattern)
  local function at(k, p)
    while p <= #pattern do
      local sign = string.sub(pattern, p, p)
      if sign == '*' then
        for skip = k, #key + 1 do
          if at(skip, p + 1) then return true end
        end
        return false
      elseif k > #key then
        return false
      elseif sign == '[' then
        local close = string.find(pattern, ']', p + 2, true) or #pattern
        local set = string.gsub(string.sub(pattern, p, close), '%%', '%%%%')
        if not string.match(string.sub(key, k, k), set) then return false end
        p = close
      else
        if sign == '\\' then
          p = p + 1
          sign = string.sub(pattern, p, p)
        elseif sign == '?' then
          sign = string.sub(key, k, k)
        end
        if sign ~= string.sub(key, k, k) then return false end
      end
      k, p = k + 1, p + 1
    end
    return k == #key + 1
  end
  return at(1, 1)
end

-- Returns keys in the order in which they were made; the cursor is a position among them.
function commands.SCAN(cursor, ...)
  local position, count, pattern, kind = whole(cursor, 'ERR invalid cursor'), 10, nil, nil
  local options = {...}
  for index = 1, #options, 2 do
    local name, value = string.upper(text(options[index])), options[index + 1]
    if name == 'COUNT' then count = whole(value)
    elseif name == 'MATCH' then pattern = text(value)
    elseif name == 'TYPE' then kind = text(value)
    else fail(SYNTAX) end
  end
  local candidates, latest = data.keys_from(position + 1, count)
  local matching = {}
  for _, key in ipairs(candidates) do
    local entry = find(key)
    if entry and (not kind or entry.kind == kind) and (not pattern or matches(key, pattern)) then
      matching[#matching + 1] = key
    end
  end
  return {position + count >= latest and '0' or digits(position + count), matching}
end

function commands.KEYS(pattern)
  local matching = {}
  for _, key in ipairs((data.keys_from(1, math.huge))) do
    if find(key) and matches(key, text(pattern)) then matching[#matching + 1] = key end
  end
  return matching
end

-- Counts the keys, those that expired and are still kept included, as a real server does.
function commands.DBSIZE()
  return #data.keys_from(1, math.huge)
end

function commands.FLUSHALL()
  data.forget_all()
  return {ok = 'OK'}
end
