-- Commands of streams.

local commands, data = ...
local clock, digits, fail, find, keep, text, whole, SYNTAX =
  data.clock, data.digits, data.fail, data.find, data.keep, data.text, data.whole, data.SYNTAX

local function new_stream()
  return {kind = 'stream', entries = {}, first = 1, last = 0, count = 0, last_ms = 0, last_seq = 0}
end

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
    ms, seq = clock.ms, 0
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
  data.touched[#data.touched + 1] = key
  return id_of(ms, seq)
end

function commands.XLEN(key)
  local stream = find(text(key), 'stream')
  return stream and stream.count or 0
end

local function answer_of(entry)
  return {id_of(entry.ms, entry.seq), entry.fields}
end

-- Returns the first id of a range of ids; `to_id` below returns the last.
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
  local answers = {}
  for index = first_from(stream, from_ms, from_seq), stream.last do
    if #answers >= limit then break end
    local entry = stream.entries[index]
    if entry then
      if is_before(to_ms, to_seq, entry.ms, entry.seq) then break end
      answers[#answers + 1] = answer_of(entry)
    end
  end
  return answers
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
  local answers = {}
  for index = stream and stream.last or 0, stream and stream.first or 1, -1 do
    if #answers >= limit then break end
    local entry = stream.entries[index]
    if entry then
      if is_before(entry.ms, entry.seq, from_ms, from_seq) then break end
      if not is_before(to_ms, to_seq, entry.ms, entry.seq) then answers[#answers + 1] = answer_of(entry) end
    end
  end
  return answers
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

-- Returns the entries after an id in each stream, or false if there are none. A blocked caller calls again.
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
  local answers = {}
  for position = 1, number do
    local key, id = text(given[index + position]), text(given[index + number + position])
    if id == '$' then data.lacks('XREAD with $') end
    local ms, seq = parts_of(id, 0)
    local stream = find(key, 'stream')
    if stream then
      local entries = range(stream, ms, seq + 1, math.huge, math.huge, limit)
      if #entries > 0 then answers[#answers + 1] = {key, entries} end
    end
  end
  return #answers > 0 and answers or false
end
