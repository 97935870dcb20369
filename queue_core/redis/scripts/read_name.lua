-- read_name: returns what Redis keeps under one name of a user, before the user's names are joined.
-- Returns {target or '', 1 if the message was stored under this name, 1 if messages wait or are being answered,
--   1 if there is a memory, 1 if anything else is kept, names of the conversation and their kinds, alternating}; for a name
--   with a target, nothing of what comes after the second is looked up

local target = target_of(place, now_ms, aliases_ttl_ms)
local is_stored = was_stored(place, seen, now_ms, dedupe_ttl_ms) and 1 or 0
if target then  -- nothing else is asked of a name that leads on
  return {target, is_stored, 0, 0, 0, {}}
end
return {
  '',
  is_stored,
  is_in_use(place) and 1 or 0,
  redis.call('EXISTS', place.memory),
  redis.call('EXISTS', place.names, place.completed, place.stats) > 0 and 1 or 0,
  redis.call('HGETALL', place.names),
}
