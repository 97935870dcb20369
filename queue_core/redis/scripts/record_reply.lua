-- record_reply: keeps the reply before it is sent, for the batch that the lease covers.
-- From here on the state is 'unsure': whoever takes over after a crash cannot know whether it was sent.
-- Returns 'held' | 'lost'

local lock = KEYS[1]
local reply = KEYS[2]
local now_ms = ARGV[1]
local token = ARGV[2]
local text = ARGV[3]

local lease = redis.call('HMGET', lock, 'token', 'size')
if lease[1] ~= token then
  return 'lost'
end
allow_when_full(lock)
redis.call('HSET', reply, 'text', text, 'size', lease[2], 'state', 'unsure', 'recordedAt', digits(clock_ms(now_ms)))
return 'held'
