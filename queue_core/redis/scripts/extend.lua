-- extend: renews a lease (heartbeat).
-- Returns 'held' | 'lost'

if redis.call('HGET', place.lock, 'token') ~= token then
  return 'lost'
end
allow_when_full(place.lock)
local expires = digits(now_ms + lock_ttl_ms)
redis.call('HSET', place.lock, 'expiresAt', expires)
redis.call('ZADD', place.active, expires, place.conversation)
return 'held'
