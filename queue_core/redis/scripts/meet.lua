-- meet: returns what Redis keeps under one name of a user, before the user's names are joined.
-- Returns {target or '', 1 if the message was stored under this name, 1 if messages wait or are being answered,
--   1 if there is a memory, 1 if anything else is kept, names of the conversation and their kinds, alternating}

local target = target_of(place, now_ms, aliases_ttl_ms)
return {
  target or '',
  was_stored(place, seen, now_ms, dedupe_ttl_ms) and 1 or 0,
  is_in_use(place) and 1 or 0,
  redis.call('EXISTS', place.memory),
  redis.call('EXISTS', place.names, place.completed, place.stats) > 0 and 1 or 0,
  redis.call('HGETALL', place.names),
}
