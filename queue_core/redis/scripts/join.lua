-- join: lets a name of a user lead to another conversation. While messages wait under the name or are being answered, it does
-- so only with `waits` '1': that conversation waits for them.
-- Returns 'joined' | 'moved' (the name has an alias already) | 'seen' (the message was stored under this name) | 'in use'

if target_of(place, now_ms, aliases_ttl_ms) then
  return 'moved'
end
if was_stored(place, seen, now_ms, dedupe_ttl_ms) then
  return 'seen'
elseif waits ~= '1' and is_in_use(place) then
  return 'in use'
end
redis.call('SET', place.alias, target, 'PX', aliases_ttl_ms)
return 'joined'
