-- put_behind: hands a batch back, since other messages of its user come first. It is due again after `wait_ms`, and the
-- attempt does not count.
-- Returns 'held' (handed back now) | 'lost'

if redis.call('HGET', place.lock, 'token') ~= token then
  return 'lost'
end
allow_when_full(place.lock)
take_back_lease(place)
schedule(place, now_ms + wait_ms)
release_backends(place, now_ms)
return 'held'
