-- aliases: several names of one user that lead to one conversation; functions that scripts share.
--
-- `alias:X`, a string, names the conversation W to which new messages of the name X belong. W may lie in another partition,
-- and messages that wait under X are never moved. If messages wait under X or are being answered, the alias may be written
-- only after `behind:W`; the script join.lua looks for such messages in the same step.
-- `behind:W`, a hash, holds the conversations X of the same user whose messages come before those of W. When X has an alias
-- and nothing is left under X, no more messages come under X, and its field is deleted.
-- `names:W`, a hash, lists the names that lead to W, W included, with the kinds of their addresses.
-- Aliases and names expire some time after their last use.

-- Limit on names that are listed for a conversation; further names lead to it too.
local NAMES_MAX = 16

-- Returns the conversation to which this name's alias leads, false without an alias. A damaged alias is moved aside.
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
  local since = number_in(layout[3]) or now_ms
  return first_seen(place, seen, layers_in(layout[4]), since, now_ms, dedupe_ttl_ms) ~= nil
end

-- Returns true if messages wait under this name, or are being answered, or messages of other names come before them.
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
