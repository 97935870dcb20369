-- extend: renews a lease (heartbeat).
-- Returns 'held' | 'lost'

if redis.call('HGET', place.lock, 'token') ~= token then
  return 'lost'
end
allow_when_full(place.lock, group)
redis.call('HSET', place.lock, 'expiresAt', digits(now_ms + lock_ttl_ms))
schedule_look(place, now_ms, lock_ttl_ms)
return 'held'
