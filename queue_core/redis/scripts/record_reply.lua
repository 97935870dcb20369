-- record_reply: keeps the reply before it is sent, for the batch that the lease covers.
-- From here on the state is 'unsure': whoever takes over after a crash cannot know whether it was sent.
-- Returns 'held' | 'lost'

local lease = redis.call('HMGET', place.lock, 'token', 'size')
if lease[1] ~= token then
  return 'lost'
end
allow_when_full(place.lock)
redis.call('HSET', place.reply, 'text', text, 'size', lease[2], 'state', 'unsure', 'recordedAt', digits(now_ms))
return 'held'
