-- record_reply: keeps the reply before it is sent, for the batch that the lease covers.
-- The state becomes 'unsure': after a crash nobody knows whether the reply was sent.
-- Returns 'held' | 'lost'

local lease = redis.call('HMGET', place.lock, 'token', 'size')
if lease[1] ~= token then
  return 'lost'
end
allow_when_full(place.lock)
redis.call('HSET', place.reply, 'text', text, 'size', lease[2], 'state', 'unsure', 'recordedAt', digits(now_ms))
return 'held'
