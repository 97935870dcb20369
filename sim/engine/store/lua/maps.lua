-- Commands of hashes and sets. A set is a map with `true` as each value.

local commands, data = ...
local digits, fail, find, forget, keep, text, whole =
  data.digits, data.fail, data.find, data.forget, data.keep, data.text, data.whole

-- A hash, or a set with `true` as each value. Fields keep the order in which they came.
local function new_map(kind)
  return {kind = kind, values = {}, order = {}, positions = {}, top = 0, count = 0}
end

local function put(map, field, value)
  if map.values[field] == nil then
    map.top = map.top + 1
    map.order[map.top], map.positions[field] = field, map.top
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
  map.order[map.positions[field]] = false
  map.values[field], map.positions[field] = nil, nil
  map.count = map.count - 1
  if map.top > 16 and map.top > 4 * map.count then
    local order, positions, top = {}, {}, 0
    for index = 1, map.top do
      local kept = map.order[index]
      if kept then
        top = top + 1
        order[top], positions[kept] = kept, top
      end
    end
    map.order, map.positions, map.top = order, positions, top
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

function commands.HVALS(key)
  local hash, values = find(text(key), 'hash'), {}
  for _, field in ipairs(hash and fields_of(hash) or {}) do values[#values + 1] = hash.values[field] end
  return values
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
