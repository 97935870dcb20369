-- record_sent: notes that the recorded reply has reached the user.
-- Returns 'held' | 'lost'

local lock = KEYS[1]
local reply = KEYS[2]
local now_ms = ARGV[1]
local token = ARGV[2]

if redis.call('HGET', lock, 'token') ~= token then
  return 'lost'
end
allow_when_full(lock)
if redis.call('EXISTS', reply) == 1 then
  redis.call('HSET', reply, 'state', 'sent', 'sentAt', digits(clock_ms(now_ms)))
end
return 'held'
