-- extend: renews a lease (heartbeat).
-- Returns 'held' | 'lost'

local lock = KEYS[1]
local active = KEYS[2]
local now_ms = ARGV[1]
local conversation = ARGV[2]
local token = ARGV[3]
local lock_ttl_ms = tonumber(ARGV[4])

if redis.call('HGET', lock, 'token') ~= token then
  return 'lost'
end
allow_when_full(lock)
local expires = digits(clock_ms(now_ms) + lock_ttl_ms)
redis.call('HSET', lock, 'expiresAt', expires)
redis.call('ZADD', active, expires, conversation)
return 'held'
