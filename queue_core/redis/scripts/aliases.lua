-- aliases: several names of one user that lead to one conversation; functions that scripts share.
--
-- `alias:X`, a string, names the conversation to which the messages of the name X belong. That may lie in another
-- partition. Nothing is ever moved. The alias is written in one step with a look at whether anything waits under X, or is
-- being answered; then it is written only with `behind`.
-- `behind:W`, a hash, has the conversations X under which messages of the same user wait that come before those of W. It is
-- written before the alias of X, and ends when that is there and nothing is left under X: then nothing more comes.
-- `names:W`, a hash, lists the names that lead to W, W included, with the kinds of the addresses.
-- Aliases and names are kept for a time after their last use.

-- Limit on names of a conversation; further ones lead to it too, but are not listed.
local NAMES_MAX = 16

-- Returns the conversation to which the messages of this name belong, false for this one. A value that names none is moved
-- aside.
local function target_of(place, now_ms, aliases_ttl_ms)
  local target = redis.call('GET', place.alias)
  if target and not string.match(target, '^[^ :]+:[^ :]+$') then
    set_aside(place, 'alias', 'damaged: an alias of ' .. place.conversation, now_ms)
    return false
  elseif target then
    redis.call('PEXPIRE', place.alias, aliases_ttl_ms)
  end
  return target
end

-- Returns true if the message was stored under this name before. `seen` has its fingerprint, see seen.lua.
local function was_stored(place, seen, now_ms, dedupe_ttl_ms)
  local layout = read_layout(place)
  local since = tonumber(layout[3] or nil) or now_ms
  return first_seen(place, seen, layers_in(layout[4]), since, now_ms, dedupe_ttl_ms) ~= nil
end

-- Returns true if messages wait under this name, or are being answered, or others come before those of this name.
local function is_in_use(place)
  return redis.call('EXISTS', place.queue, place.behind) > 0 or redis.call('HEXISTS', place.lock, 'token') == 1
end

-- Lists names that lead to this conversation: "<name> <kind> <name> <kind> …".
local function note_names(place, names, aliases_ttl_ms)
  for name, kind in string.gmatch(names, '(%S+) (%S+)') do
    if redis.call('HLEN', place.names) < NAMES_MAX then
      redis.call('HSETNX', place.names, name, kind)
    end
  end
  redis.call('PEXPIRE', place.names, aliases_ttl_ms)
end
