-- store: a Redis server's data and commands, as tables. `store.py` loads it; scripts run in `environment`.
--
-- Answers are as scripts see them: nil is `false`, a status is `{ok = …}`. Errors are raised as `{err = …}`.
-- Only what the queue and the older systems use is here; any other command is an error of the simulation.

local WRONG_TYPE = 'WRONGTYPE Operation against a key holding the wrong kind of value'
local NOT_INTEGER = 'ERR value is not an integer or out of range'
local SYNTAX = 'ERR syntax error'
local FULL = "OOM command not allowed when used memory > 'maxmemory'."
local REPLICA = "READONLY You can't write against a read only replica."

local keys = {}          -- entries by key
local names, place_of, named = {}, {}, 0 -- keys in the order in which they were made, for SCAN
local now_us, now_ms = 0, 0
local is_full, is_replica = false, false
local has_written = false -- a script that has written may go on when Redis is full
local unknown = false     -- a command that the store does not have
local touched = {}        -- streams that got an entry since they were last asked for

local function fail(words)
  error({err = words}, 0)
end

-- Returns a number as Redis writes it.
local function digits(number)
  if number == math.floor(number) and math.abs(number) < 1e17 then
    return string.format('%.0f', number)
  end
  if number == math.huge then return 'inf' end
  if number == -math.huge then return '-inf' end
  for precision = 15, 17 do
    local written = string.format('%.' .. precision .. 'g', number)
    if tonumber(written) == number then
      return written
    end
  end
end

local function text(value)
  local kind = type(value)
  if kind == 'string' then return value end
  if kind == 'number' then return digits(value) end
  fail('ERR Lua redis lib command arguments must be strings or integers')
end

local function whole(value, words)
  local number = tonumber(value)
  if not number or not string.match(text(value), '^%-?%d+$') or math.abs(number) > 9.2e18 then
    fail(words or NOT_INTEGER)
  end
  return number
end

local function forget(key)
  keys[key] = nil
  local place = place_of[key]
  if place then
    names[place], place_of[key] = false, nil
  end
end

-- Returns the entry of a key, or nil. An entry of another kind is an error.
local function find(key, kind)
  local entry = keys[key]
  if not entry then
    return nil
  end
  if entry.expires and entry.expires < now_ms then
    forget(key)
    return nil
  end
  if kind and entry.kind ~= kind then
    fail(WRONG_TYPE)
  end
  return entry
end

local function keep(key, entry)
  keys[key] = entry
  if not place_of[key] then
    named = named + 1
    names[named], place_of[key] = key, named
  end
  return entry
end

-- Collections. An empty one is deleted by the command that emptied it.

local function new_list()
  return {kind = 'list', items = {}, first = 1, last = 0}
end

-- A hash, or a set with `true` as each value. Fields keep the order in which they came.
local function new_map(kind)
  return {kind = kind, values = {}, order = {}, places = {}, top = 0, count = 0}
end

local function put(map, field, value)
  if map.values[field] == nil then
    map.top = map.top + 1
    map.order[map.top], map.places[field] = field, map.top
    map.count = map.count + 1
    map.values[field] = value
    return 1
  end
  map.values[field] = value
  return 0
end

local function take(map, field)
  if map.values[field] == nil then
    return 0
  end
  map.order[map.places[field]] = false
  map.values[field], map.places[field] = nil, nil
  map.count = map.count - 1
  if map.top > 16 and map.top > 4 * map.count then
    local order, places, top = {}, {}, 0
    for index = 1, map.top do
      local kept = map.order[index]
      if kept then
        top = top + 1
        order[top], places[kept] = kept, top
      end
    end
    map.order, map.places, map.top = order, places, top
  end
  return 1
end

local function fields_of(map)
  local fields = {}
  for index = 1, map.top do
    if map.order[index] then
      fields[#fields + 1] = map.order[index]
    end
  end
  return fields
end

-- A sorted set: members in the order of score and name.
local function new_sorted()
  return {kind = 'zset', scores = {}, members = {}}
end

-- Returns the position of a member with this score, or where it belongs.
local function place_in(sorted, score, member)
  local members, scores = sorted.members, sorted.scores
  local low, high = 1, #members + 1
  while low < high do
    local middle = math.floor((low + high) / 2)
    local other = members[middle]
    local its_score = scores[other]
    if its_score < score or its_score == score and other < member then
      low = middle + 1
    else
      high = middle
    end
  end
  return low
end

local function remove_member(sorted, member)
  local score = sorted.scores[member]
  if not score then
    return 0
  end
  table.remove(sorted.members, place_in(sorted, score, member))
  sorted.scores[member] = nil
  return 1
end

local function add_member(sorted, score, member)
  local is_new = 1 - remove_member(sorted, member)
  table.insert(sorted.members, place_in(sorted, score, member), member)
  sorted.scores[member] = score
  return is_new
end

local function new_stream()
  return {kind = 'stream', entries = {}, first = 1, last = 0, count = 0, last_ms = 0, last_seq = 0}
end

-- Returns the first and last index (from 0) of a range as Redis reads it, or nil if it is empty.
local function bounds(first, last, size)
  first, last = whole(first), whole(last)
  if first < 0 then first = math.max(first + size, 0) end
  if last < 0 then last = last + size end
  last = math.min(last, size - 1)
  if first > last then
    return nil
  end
  return first, last
end

local function no_more_than(arguments, count)
  if arguments > count then
    fail(SYNTAX)
  end
end

local commands, writes, grows = {}, {}, {}

-- Keys

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
  if at_ms <= now_ms then
    forget(text(key))
  else
    entry.expires = at_ms
  end
  return 1
end

function commands.PEXPIRE(key, wait_ms)
  return expire_at(key, now_ms + whole(wait_ms))
end

function commands.EXPIRE(key, wait_s)
  return expire_at(key, now_ms + 1000 * whole(wait_s))
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
  return entry.expires and entry.expires - now_ms or -1
end

function commands.TTL(key)
  local left_ms = commands.PTTL(key)
  return left_ms < 0 and left_ms or math.floor((left_ms + 500) / 1000)
end

-- Returns true if a key has the form of a pattern: *, ?, [abc], [^a-z], and \ before a character.
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
  local found = {}
  local last = math.min(position + count, named)
  for index = position + 1, last do
    local key = names[index]
    local entry = key and find(key)
    if entry and (not kind or entry.kind == kind) and (not pattern or matches(key, pattern)) then
      found[#found + 1] = key
    end
  end
  return {last >= named and '0' or digits(last), found}
end

function commands.DBSIZE()
  local count = 0
  for index = 1, named do
    if names[index] and find(names[index]) then count = count + 1 end
  end
  return count
end

function commands.FLUSHALL()
  keys, names, place_of, named = {}, {}, {}, 0
  return {ok = 'OK'}
end

-- Texts

function commands.GET(key)
  local entry = find(text(key), 'string')
  return entry and entry.value or false
end

function commands.SET(key, value, ...)
  key = text(key)
  local options, expires, condition = {...}, nil, nil
  local index = 1
  while index <= #options do
    local option = string.upper(text(options[index]))
    if option == 'NX' or option == 'XX' then
      condition = option
    elseif option == 'PX' or option == 'EX' then
      index = index + 1
      local wait = whole(options[index])
      if wait <= 0 then fail("ERR invalid expire time in 'set' command") end
      expires = now_ms + wait * (option == 'EX' and 1000 or 1)
    else
      fail(SYNTAX)
    end
    index = index + 1
  end
  local entry = find(key)
  if condition == 'NX' and entry or condition == 'XX' and not entry then
    return false
  end
  forget(key)
  keep(key, {kind = 'string', value = text(value), expires = expires})
  return {ok = 'OK'}
end

function commands.SETEX(key, wait_s, value)
  if whole(wait_s) <= 0 then fail("ERR invalid expire time in 'setex' command") end
  return commands.SET(key, value, 'EX', wait_s)
end

function commands.SETNX(key, value)
  return commands.SET(key, value, 'NX') and 1 or 0
end

function commands.INCRBY(key, step)
  key = text(key)
  local entry = find(key, 'string')
  local number = (entry and whole(entry.value) or 0) + whole(step)
  if entry then
    entry.value = digits(number)
  else
    keep(key, {kind = 'string', value = digits(number)})
  end
  return number
end

function commands.INCR(key)
  return commands.INCRBY(key, 1)
end

-- Lists

local function ended(key, list)
  if list.last < list.first then
    forget(key)
  end
end

function commands.RPUSH(key, ...)
  key = text(key)
  local list = find(key, 'list') or keep(key, new_list())
  for index = 1, select('#', ...) do
    list.last = list.last + 1
    list.items[list.last] = text((select(index, ...)))
  end
  return list.last - list.first + 1
end

function commands.LPUSH(key, ...)
  key = text(key)
  local list = find(key, 'list') or keep(key, new_list())
  for index = 1, select('#', ...) do
    list.first = list.first - 1
    list.items[list.first] = text((select(index, ...)))
  end
  return list.last - list.first + 1
end

function commands.LPOP(key)
  key = text(key)
  local list = find(key, 'list')
  if not list then return false end
  local item = list.items[list.first]
  list.items[list.first], list.first = nil, list.first + 1
  ended(key, list)
  return item
end

function commands.RPOP(key)
  key = text(key)
  local list = find(key, 'list')
  if not list then return false end
  local item = list.items[list.last]
  list.items[list.last], list.last = nil, list.last - 1
  ended(key, list)
  return item
end

function commands.LLEN(key)
  local list = find(text(key), 'list')
  return list and list.last - list.first + 1 or 0
end

function commands.LINDEX(key, index)
  local list = find(text(key), 'list')
  index = whole(index)
  if not list then return false end
  return list.items[index < 0 and list.last + 1 + index or list.first + index] or false
end

function commands.LRANGE(key, first, last)
  local list = find(text(key), 'list')
  local low, high = bounds(first, last, list and list.last - list.first + 1 or 0)
  local items = {}
  if low then
    for index = list.first + low, list.first + high do
      items[#items + 1] = list.items[index]
    end
  end
  return items
end

function commands.LSET(key, index, value)
  local list = find(text(key), 'list')
  if not list then fail('ERR no such key') end
  index = whole(index)
  local place = index < 0 and list.last + 1 + index or list.first + index
  if place < list.first or place > list.last then fail('ERR index out of range') end
  list.items[place] = text(value)
  return {ok = 'OK'}
end

function commands.LTRIM(key, first, last)
  key = text(key)
  local list = find(key, 'list')
  local low, high = bounds(first, last, list and list.last - list.first + 1 or 0)
  if not list then return {ok = 'OK'} end
  if not low then
    forget(key)
    return {ok = 'OK'}
  end
  for index = list.first, list.first + low - 1 do list.items[index] = nil end
  for index = list.first + high + 1, list.last do list.items[index] = nil end
  list.first, list.last = list.first + low, list.first + high
  return {ok = 'OK'}
end

function commands.LREM(key, count, value)
  key, count, value = text(key), whole(count), text(value)
  local list = find(key, 'list')
  if not list then return 0 end
  local limit = count == 0 and math.huge or math.abs(count)
  local removed = 0
  if count >= 0 then
    local to = list.first
    for from = list.first, list.last do
      local item = list.items[from]
      if item == value and removed < limit then
        removed = removed + 1
      else
        list.items[to] = item
        to = to + 1
      end
    end
    for index = to, list.last do list.items[index] = nil end
    list.last = to - 1
  else
    local to = list.last
    for from = list.last, list.first, -1 do
      local item = list.items[from]
      if item == value and removed < limit then
        removed = removed + 1
      else
        list.items[to] = item
        to = to - 1
      end
    end
    for index = list.first, to do list.items[index] = nil end
    list.first = to + 1
  end
  ended(key, list)
  return removed
end

-- Hashes

function commands.HSET(key, ...)
  key = text(key)
  local count = select('#', ...)
  if count == 0 or count % 2 == 1 then
    fail("ERR wrong number of arguments for 'hset' command")
  end
  local hash = find(key, 'hash') or keep(key, new_map('hash'))
  local pairs_given, added = {...}, 0
  for index = 1, count, 2 do
    added = added + put(hash, text(pairs_given[index]), text(pairs_given[index + 1]))
  end
  return added
end

function commands.HSETNX(key, field, value)
  key, field = text(key), text(field)
  local hash = find(key, 'hash') or keep(key, new_map('hash'))
  if hash.values[field] ~= nil then return 0 end
  return put(hash, field, text(value))
end

function commands.HGET(key, field)
  local hash = find(text(key), 'hash')
  return hash and hash.values[text(field)] or false
end

function commands.HMGET(key, ...)
  local hash = find(text(key), 'hash')
  local values = {}
  for index = 1, select('#', ...) do
    values[index] = hash and hash.values[text((select(index, ...)))] or false
  end
  return values
end

function commands.HGETALL(key)
  local hash, flat = find(text(key), 'hash'), {}
  for _, field in ipairs(hash and fields_of(hash) or {}) do
    flat[#flat + 1], flat[#flat + 2] = field, hash.values[field]
  end
  return flat
end

function commands.HKEYS(key)
  local hash = find(text(key), 'hash')
  return hash and fields_of(hash) or {}
end

function commands.HDEL(key, ...)
  key = text(key)
  local hash, removed = find(key, 'hash'), 0
  if not hash then return 0 end
  for index = 1, select('#', ...) do
    removed = removed + take(hash, text((select(index, ...))))
  end
  if hash.count == 0 then forget(key) end
  return removed
end

function commands.HLEN(key)
  local hash = find(text(key), 'hash')
  return hash and hash.count or 0
end

function commands.HEXISTS(key, field)
  local hash = find(text(key), 'hash')
  return hash and hash.values[text(field)] ~= nil and 1 or 0
end

function commands.HINCRBY(key, field, step)
  key, field, step = text(key), text(field), whole(step)
  local hash = find(key, 'hash')
  local old = hash and hash.values[field]
  local number = (old and whole(old, 'ERR hash value is not an integer') or 0) + step
  put(hash or keep(key, new_map('hash')), field, digits(number))
  return number
end

-- Sets

function commands.SADD(key, ...)
  key = text(key)
  local set, added = find(key, 'set') or keep(key, new_map('set')), 0
  for index = 1, select('#', ...) do
    added = added + put(set, text((select(index, ...))), true)
  end
  return added
end

function commands.SREM(key, ...)
  key = text(key)
  local set, removed = find(key, 'set'), 0
  if not set then return 0 end
  for index = 1, select('#', ...) do
    removed = removed + take(set, text((select(index, ...))))
  end
  if set.count == 0 then forget(key) end
  return removed
end

function commands.SMEMBERS(key)
  local set = find(text(key), 'set')
  return set and fields_of(set) or {}
end

function commands.SISMEMBER(key, member)
  local set = find(text(key), 'set')
  return set and set.values[text(member)] and 1 or 0
end

function commands.SCARD(key)
  local set = find(text(key), 'set')
  return set and set.count or 0
end

-- Sorted sets

local function score_of(value)
  local words = string.lower(text(value))
  if words == 'inf' or words == '+inf' then return math.huge end
  if words == '-inf' then return -math.huge end
  local number = tonumber(words)
  if not number or number ~= number then fail('ERR value is not a valid float') end
  return number
end

function commands.ZADD(key, ...)
  key = text(key)
  local given, first, condition, changes = {...}, 1, nil, false
  while first <= #given do
    local option = string.upper(text(given[first]))
    if option == 'NX' or option == 'XX' then condition = option
    elseif option == 'CH' then changes = true
    else break end
    first = first + 1
  end
  local count = #given - first + 1
  if count == 0 or count % 2 == 1 then fail(SYNTAX) end
  local scores = {}
  for index = first, #given, 2 do scores[index] = score_of(given[index]) end
  local sorted, added, changed = find(key, 'zset'), 0, 0
  if not sorted and condition == 'XX' then return 0 end
  sorted = sorted or keep(key, new_sorted())
  for index = first, #given, 2 do
    local member, score = text(given[index + 1]), scores[index]
    local old = sorted.scores[member]
    if not (condition == 'NX' and old or condition == 'XX' and not old) then
      if old ~= score then
        added = added + add_member(sorted, score, member)
        changed = changed + 1
      end
    end
  end
  return changes and changed or added
end

function commands.ZREM(key, ...)
  key = text(key)
  local sorted, removed = find(key, 'zset'), 0
  if not sorted then return 0 end
  for index = 1, select('#', ...) do
    removed = removed + remove_member(sorted, text((select(index, ...))))
  end
  if #sorted.members == 0 then forget(key) end
  return removed
end

function commands.ZSCORE(key, member)
  local sorted = find(text(key), 'zset')
  local score = sorted and sorted.scores[text(member)]
  return score and digits(score) or false
end

function commands.ZCARD(key)
  local sorted = find(text(key), 'zset')
  return sorted and #sorted.members or 0
end

-- Returns members, with their scores after each if wanted.
local function members_of(sorted, first, last, step, with_scores)
  local found = {}
  for index = first, last, step do
    local member = sorted.members[index]
    found[#found + 1] = member
    if with_scores then found[#found + 1] = digits(sorted.scores[member]) end
  end
  return found
end

local function wants_scores(...)
  no_more_than(select('#', ...), 1)
  local option = ...
  if option and string.upper(text(option)) ~= 'WITHSCORES' then fail(SYNTAX) end
  return option ~= nil
end

function commands.ZRANGE(key, first, last, ...)
  local sorted, with_scores = find(text(key), 'zset'), wants_scores(...)
  local low, high = bounds(first, last, sorted and #sorted.members or 0)
  return low and members_of(sorted, low + 1, high + 1, 1, with_scores) or {}
end

function commands.ZREVRANGE(key, first, last, ...)
  local sorted, with_scores = find(text(key), 'zset'), wants_scores(...)
  local size = sorted and #sorted.members or 0
  local low, high = bounds(first, last, size)
  return low and members_of(sorted, size - low, size - high, -1, with_scores) or {}
end

local function limit_of(value)
  local words = text(value)
  local is_open = string.sub(words, 1, 1) == '('
  local is_read, score = pcall(score_of, is_open and string.sub(words, 2) or words)
  if not is_read then fail('ERR min or max is not a float') end
  return score, is_open
end

function commands.ZRANGEBYSCORE(key, low, high, ...)
  local lowest, is_above = limit_of(low)
  local highest, is_below = limit_of(high)
  local options, with_scores, skip, count = {...}, false, 0, -1
  local index = 1
  while index <= #options do
    local option = string.upper(text(options[index]))
    if option == 'WITHSCORES' then
      with_scores = true
    elseif option == 'LIMIT' and options[index + 2] then
      skip, count = whole(options[index + 1]), whole(options[index + 2])
      index = index + 2
    else
      fail(SYNTAX)
    end
    index = index + 1
  end
  local sorted = find(text(key), 'zset')
  if not sorted or skip < 0 then return {} end
  local first = place_in(sorted, lowest, '')
  while is_above and sorted.members[first] and sorted.scores[sorted.members[first]] == lowest do
    first = first + 1
  end
  local last = first - 1
  while sorted.members[last + 1] do
    local score = sorted.scores[sorted.members[last + 1]]
    if score > highest or is_below and score == highest or count >= 0 and last - first + 1 >= skip + count then
      break
    end
    last = last + 1
  end
  return members_of(sorted, first + skip, last, 1, with_scores)
end

-- Streams

local function id_of(ms, seq)
  return digits(ms) .. '-' .. digits(seq)
end

-- Returns the parts of an id; a missing second part is `otherwise`.
local function parts_of(id, otherwise)
  local ms, seq = string.match(id, '^(%d+)%-(%d+)$')
  if not ms then ms, seq = string.match(id, '^(%d+)$'), otherwise end
  if not ms then fail('ERR Invalid stream ID specified as stream command argument') end
  return tonumber(ms), tonumber(seq)
end

local function is_before(ms, seq, other_ms, other_seq)
  return ms < other_ms or ms == other_ms and seq < other_seq
end

-- Removes deleted entries from the ends of a stream, so that both ends are entries.
local function close_up(stream)
  while stream.first <= stream.last and not stream.entries[stream.first] do stream.first = stream.first + 1 end
  while stream.last >= stream.first and not stream.entries[stream.last] do stream.last = stream.last - 1 end
end

local function trim(stream, length)
  while stream.count > length do
    stream.entries[stream.first] = nil
    stream.count = stream.count - 1
    stream.first = stream.first + 1
    close_up(stream)
  end
end

function commands.XADD(key, ...)
  key = text(key)
  local given, index, length = {...}, 1, nil
  if string.upper(text(given[1])) == 'MAXLEN' then
    index = (given[2] == '~' or given[2] == '=') and 3 or 2
    length = whole(given[index])
    index = index + 1
  end
  local id = text(given[index])
  local fields = {}
  for field = index + 1, #given do fields[#fields + 1] = text(given[field]) end
  if #fields == 0 or #fields % 2 == 1 then fail("ERR wrong number of arguments for 'xadd' command") end
  local stream = find(key, 'stream')
  local last_ms, last_seq = stream and stream.last_ms or 0, stream and stream.last_seq or 0
  local ms, seq
  if id == '*' then
    ms, seq = now_ms, 0
    if ms <= last_ms then ms, seq = last_ms, last_seq + 1 end
  else
    ms, seq = parts_of(id, 0)
    if ms == 0 and seq == 0 then fail('ERR The ID specified in XADD must be greater than 0-0') end
    if not is_before(last_ms, last_seq, ms, seq) then
      fail('ERR The ID specified in XADD is equal or smaller than the target stream top item')
    end
  end
  stream = stream or keep(key, new_stream())
  stream.last = stream.last + 1
  stream.entries[stream.last] = {ms = ms, seq = seq, fields = fields}
  stream.count, stream.last_ms, stream.last_seq = stream.count + 1, ms, seq
  if length then trim(stream, length) end
  touched[#touched + 1] = key
  return id_of(ms, seq)
end

function commands.XLEN(key)
  local stream = find(text(key), 'stream')
  return stream and stream.count or 0
end

local function answer_of(entry)
  return {id_of(entry.ms, entry.seq), entry.fields}
end

-- Returns the limits of a range of ids as the first and last id in it.
local function from_id(id)
  if id == '-' then return 0, 0 end
  if id == '+' then return math.huge, math.huge end
  if string.sub(id, 1, 1) == '(' then
    local ms, seq = parts_of(string.sub(id, 2), 0)
    return ms, seq + 1
  end
  return parts_of(id, 0)
end

local function to_id(id)
  if id == '+' then return math.huge, math.huge end
  if id == '-' then return 0, 0 end
  if string.sub(id, 1, 1) == '(' then
    local ms, seq = parts_of(string.sub(id, 2), 0)
    if seq > 0 then return ms, seq - 1 end
    return ms - 1, math.huge
  end
  return parts_of(id, math.huge)
end

-- Returns the index of the first entry that is not before this id.
local function first_from(stream, ms, seq)
  local low, high = stream.first, stream.last + 1
  while low < high do
    local middle = math.floor((low + high) / 2)
    local probe = middle
    while probe < high and not stream.entries[probe] do probe = probe + 1 end
    local entry = probe < high and stream.entries[probe]
    if entry and is_before(entry.ms, entry.seq, ms, seq) then
      low = probe + 1
    else
      high = middle
    end
  end
  return low
end

local function count_of(...)
  local option, value = ...
  if option == nil then return math.huge end
  if string.upper(text(option)) ~= 'COUNT' or select('#', ...) ~= 2 then fail(SYNTAX) end
  return whole(value)
end

local function range(stream, from_ms, from_seq, to_ms, to_seq, limit)
  local found = {}
  for index = first_from(stream, from_ms, from_seq), stream.last do
    if #found >= limit then break end
    local entry = stream.entries[index]
    if entry then
      if is_before(to_ms, to_seq, entry.ms, entry.seq) then break end
      found[#found + 1] = answer_of(entry)
    end
  end
  return found
end

function commands.XRANGE(key, from, to, ...)
  local from_ms, from_seq = from_id(text(from))
  local to_ms, to_seq = to_id(text(to))
  local limit = count_of(...)
  local stream = find(text(key), 'stream')
  return stream and range(stream, from_ms, from_seq, to_ms, to_seq, limit) or {}
end

function commands.XREVRANGE(key, to, from, ...)
  local from_ms, from_seq = from_id(text(from))
  local to_ms, to_seq = to_id(text(to))
  local limit = count_of(...)
  local stream = find(text(key), 'stream')
  local found = {}
  for index = stream and stream.last or 0, stream and stream.first or 1, -1 do
    if #found >= limit then break end
    local entry = stream.entries[index]
    if entry then
      if is_before(entry.ms, entry.seq, from_ms, from_seq) then break end
      if not is_before(to_ms, to_seq, entry.ms, entry.seq) then found[#found + 1] = answer_of(entry) end
    end
  end
  return found
end

function commands.XDEL(key, ...)
  local stream, removed = find(text(key), 'stream'), 0
  for argument = 1, stream and select('#', ...) or 0 do
    local ms, seq = parts_of(text((select(argument, ...))), 0)
    local index = first_from(stream, ms, seq)
    while index <= stream.last and not stream.entries[index] do index = index + 1 end
    local entry = stream.entries[index]
    if entry and entry.ms == ms and entry.seq == seq then
      stream.entries[index] = nil
      stream.count, removed = stream.count - 1, removed + 1
      close_up(stream)
    end
  end
  return removed
end

-- Returns entries after an id of each stream, or false if there are none. A caller that blocks asks again.
function commands.XREAD(...)
  local given, index, limit = {...}, 1, math.huge
  while given[index] and string.upper(text(given[index])) ~= 'STREAMS' do
    local option = string.upper(text(given[index]))
    if option == 'COUNT' then limit = whole(given[index + 1])
    elseif option ~= 'BLOCK' then fail(SYNTAX) end
    index = index + 2
  end
  local number = (#given - index) / 2
  if number < 1 or number ~= math.floor(number) then fail(SYNTAX) end
  local found = {}
  for position = 1, number do
    local key, id = text(given[index + position]), text(given[index + number + position])
    local ms, seq = 0, 0
    if id ~= '$' then ms, seq = parts_of(id, 0) end
    local stream = find(key, 'stream')
    if stream and id ~= '$' then
      local entries = range(stream, ms, seq + 1, math.huge, math.huge, limit)
      if #entries > 0 then found[#found + 1] = {key, entries} end
    end
  end
  return #found > 0 and found or false
end

-- The server

function commands.TIME()
  return {digits(math.floor(now_us / 1e6)), digits(now_us % 1e6)}
end

function commands.PING()
  return {ok = 'PONG'}
end

for name in string.gmatch('DEL UNLINK RENAME PEXPIRE EXPIRE PERSIST FLUSHALL LPOP RPOP LTRIM LREM HDEL SREM ZREM XDEL', '%S+') do
  writes[name] = true
end
for name in string.gmatch('SET SETEX SETNX INCR INCRBY RPUSH LPUSH LSET HSET HSETNX HINCRBY SADD ZADD XADD', '%S+') do
  writes[name], grows[name] = true, true
end

-- Returns the function of a command that may be run now.
local function allowed(name)
  local command = commands[name]
  if not command then
    name = string.upper(text(name))
    command = commands[name]
  end
  if not command then
    unknown = name
    fail("ERR unknown command '" .. name .. "'")
  end
  if writes[name] then
    if is_replica then fail(REPLICA) end
    if is_full and grows[name] and not has_written then fail(FULL) end
    has_written = true
  end
  return command
end

-- Scripts

local redis = {}
local scripts = {}

function redis.call(name, ...)
  return allowed(name)(...)
end

function redis.pcall(name, ...)
  local is_done, answer = pcall(redis.call, name, ...)
  if is_done or type(answer) == 'table' and answer.err then
    return answer
  end
  error(answer, 0)
end

function redis.error_reply(words)
  return {err = words}
end

function redis.status_reply(words)
  return {ok = words}
end

local environment = {
  redis = redis, string = string, table = table, math = math, pairs = pairs, ipairs = ipairs, tonumber = tonumber,
  tostring = tostring, type = type, error = error, pcall = pcall, select = select, unpack = unpack, next = next,
  assert = assert, setmetatable = setmetatable, rawget = rawget, rawset = rawset,
}

-- RESP, version 2

local write

local function write_table(value, out)
  if value.err then
    out[#out + 1] = '-' .. string.gsub(value.err, '[\r\n]', ' ') .. '\r\n'
  elseif value.ok then
    out[#out + 1] = '+' .. value.ok .. '\r\n'
  else
    out[#out + 1] = '*' .. #value .. '\r\n'
    for index = 1, #value do write(value[index], out) end
  end
end

function write(value, out)
  local kind = type(value)
  if kind == 'string' then
    out[#out + 1] = '$' .. #value .. '\r\n' .. value .. '\r\n'
  elseif kind == 'number' then
    out[#out + 1] = ':' .. digits(value < 0 and math.ceil(value) or math.floor(value)) .. '\r\n'
  elseif kind == 'table' then
    write_table(value, out)
  elseif value then
    out[#out + 1] = ':1\r\n'
  else
    out[#out + 1] = '$-1\r\n'
  end
end

local function resp(is_done, value)
  if not is_done then
    value = type(value) == 'table' and value.err and value or {err = 'ERR ' .. tostring(value)}
  end
  local out = {}
  write(value, out)
  return table.concat(out)
end

-- What Python uses

local store = {}

function store.set_time(microseconds)
  now_us = microseconds
  now_ms = math.floor(microseconds / 1000)
end

function store.set_state(full, replica)
  is_full, is_replica = full, replica
end

-- Runs a command, and returns its answer in RESP.
function store.command(name, ...)
  has_written = false
  return resp(pcall(redis.call, name, ...))
end

-- Compiles a script under its hash. Returns an error in words, or nil.
function store.load(sha, source)
  local chunk, problem = loadstring(source, '@user_script')
  if not chunk then
    return problem
  end
  scripts[sha] = setfenv(chunk, environment)
end

-- Runs a script, and returns its answer in RESP.
function store.run(sha, count, ...)
  local script = scripts[sha]
  if not script then
    return '-NOSCRIPT No matching script. Please use EVAL.\r\n'
  end
  has_written = false
  local given, key_names = {...}, {}
  local arguments = {}
  for index = 1, count do key_names[index] = given[index] end
  for index = count + 1, #given do arguments[index - count] = given[index] end
  environment.KEYS, environment.ARGV = key_names, arguments
  return resp(pcall(script))
end

function store.unknown()
  local name = unknown
  unknown = false
  return name
end

-- Returns the streams that got entries, separated by NUL, or nil; each is named once.
function store.touched()
  if #touched == 0 then
    return nil
  end
  local names_now = table.concat(touched, '\0')
  touched = {}
  return names_now
end

function store.use_json(decode, encode)
  environment.cjson = {decode = decode, encode = encode}
end

return store
