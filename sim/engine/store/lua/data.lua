-- Data of the server, and functions that all commands share: reading arguments, finding and keeping keys.
--
-- Answers of commands have the form that scripts see: nil is `false`, a status is `{ok = …}`. Errors are raised as
-- `{err = …}`.

local _, data = ...

local WRONG_TYPE = 'WRONGTYPE Operation against a key holding the wrong kind of value'
local NOT_INTEGER = 'ERR value is not an integer or out of range'
data.SYNTAX = 'ERR syntax error'

local SEARCH_EVERY_MS = 600000 -- time between two searches for expired keys

local entries = {}                           -- by key
local names, positions, latest = {}, {}, 0   -- keys in the order in which they were made, for SCAN
local clock = {us = 0, ms = 0}

data.clock = clock
data.touched = {} -- streams that got an entry since they were last asked for

function data.fail(words)
  error({err = words}, 0)
end
local fail = data.fail

-- Notes a command or an option that the store does not have, and ends the call.
function data.lacks(name)
  data.unknown = name
  fail("ERR unknown command '" .. name .. "'")
end

-- Returns a number as Redis writes it.
function data.digits(number)
  if number % 1 == 0 then
    if number < 1e14 and number > -1e14 then return tostring(number) end
    if math.abs(number) < 1e17 then return string.format('%.0f', number) end
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
local digits = data.digits

-- Returns an argument of a command as text.
function data.text(value)
  local kind = type(value)
  if kind == 'string' then return value end
  if kind == 'number' then return digits(value) end
  fail('ERR Lua redis lib command arguments must be strings or integers')
end
local text = data.text

-- Returns an argument of a command as a whole number.
function data.whole(value, words)
  if type(value) == 'number' and value % 1 == 0 and value < 1e14 and value > -1e14 then
    return value
  end
  local number = tonumber(value)
  if not number or not string.match(text(value), '^%-?%d+$') or math.abs(number) > 9.2e18 then
    fail(words or NOT_INTEGER)
  end
  return number
end
local whole = data.whole

-- Removes a key.
function data.forget(key)
  entries[key] = nil
  local position = positions[key]
  if position then
    names[position], positions[key] = false, nil
  end
end
local forget = data.forget

-- Removes the keys that have expired, as a real server does, so that the memory holds only what is in use. Each such search
-- reads all keys, so there are few.
local next_search_ms = 0

function data.forget_expired()
  if clock.ms < next_search_ms and clock.ms > next_search_ms - 2 * SEARCH_EVERY_MS then
    return
  end
  next_search_ms = clock.ms + SEARCH_EVERY_MS
  for key, entry in pairs(entries) do
    if entry.expires and entry.expires < clock.ms then forget(key) end
  end
end

-- Removes all keys.
function data.forget_all()
  entries, names, positions, latest = {}, {}, {}, 0
end

local function copied(value, copies)
  if type(value) ~= 'table' then
    return value
  end
  local copy = copies[value]
  if not copy then
    copy = {}
    copies[value] = copy
    for key, part in pairs(value) do copy[key] = copied(part, copies) end
  end
  return copy
end

-- Returns a copy of all keys.
function data.copy()
  return copied({entries, names, positions, latest}, {})
end

-- Puts a copy of all keys in their place. The copy stays as it is.
function data.restore(copy)
  entries, names, positions, latest = unpack(copied(copy, {}), 1, 4)
end

-- Returns the entry of a key, or nil. An entry of another kind is an error.
function data.find(key, kind)
  local entry = entries[key]
  if not entry then
    return nil
  end
  if entry.expires and entry.expires < clock.ms then
    forget(key)
    return nil
  end
  if kind and entry.kind ~= kind then
    fail(WRONG_TYPE)
  end
  return entry
end

-- Stores an entry under a key, and returns it.
function data.keep(key, entry)
  entries[key] = entry
  if not positions[key] then
    latest = latest + 1
    names[latest], positions[key] = key, latest
  end
  return entry
end

-- Returns the keys at up to `count` positions, expired keys included, and the last position in use.
function data.keys_from(first, count)
  local keys = {}
  for position = first, math.min(first + count - 1, latest) do
    if names[position] then keys[#keys + 1] = names[position] end
  end
  return keys, latest
end

-- Returns the first and last index (from 0) of a range by Redis's rules, or nil if the range is empty.
function data.bounds(first, last, size)
  first, last = whole(first), whole(last)
  if first < 0 then first = math.max(first + size, 0) end
  if last < 0 then last = last + size end
  last = math.min(last, size - 1)
  if first > last then
    return nil
  end
  return first, last
end

-- Raises an error if there are more arguments than the command takes.
function data.no_more_than(arguments, count)
  if arguments > count then
    fail(data.SYNTAX)
  end
end
