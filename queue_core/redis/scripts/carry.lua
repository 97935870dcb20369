-- carry: takes over what was kept of a conversation at its former place, once. `kept` is a sequence of netstrings ("3:abc"): for
-- each key its name in `place`, the ms until it expires (0: never), the number of its values, and the values.
-- Returns 1 | 0 if it was carried before

-- Time for which a process may be delayed after it read what is kept at the former place.
local REMEMBERED_MS = 24 * 3600 * 1000

local keys = {
  memory = place.memory, alias = place.alias, names = place.names, behind = place.behind,
  change_notes = place.change_notes, undelivered = place.undelivered, completed = place.completed,
}
local position = 1

local function next_word()
  local colon = string.find(kept, ':', position, true)
  local first = colon + 1
  position = first + tonumber(string.sub(kept, position, colon - 1))
  return string.sub(kept, first, position - 1)
end

local function take_key()
  local key, ttl_ms, values = keys[next_word()], tonumber(next_word()), {}
  for index = 1, tonumber(next_word()) do
    values[index] = next_word()
  end
  local kind = redis.call('TYPE', key).ok
  if key == place.memory or key == place.alias then
    redis.call('SET', key, values[1])
  elseif key == place.undelivered or key == place.completed then
    for _, value in ipairs(values) do
      redis.call('RPUSH', key, value)
    end
  else
    for index = 1, #values, 2 do
      redis.call('HSET', key, values[index], values[index + 1])
    end
  end
  if ttl_ms > 0 and kind == 'none' then
    redis.call('PEXPIRE', key, ttl_ms)
  end
end

if redis.call('EXISTS', place.carried) == 1 then
  return 0
end
while position <= #kept do
  take_key()
end
redis.call('SET', place.carried, 1, 'PX', REMEMBERED_MS)
return 1
