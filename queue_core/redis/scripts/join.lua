-- join: lets a name of a user lead to another conversation, unless messages wait under it or are being answered; also then
-- if that conversation `waits` for it.
-- Returns 'joined' | 'moved' (it leads somewhere already) | 'seen' (the message was stored here) | 'in use'

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
