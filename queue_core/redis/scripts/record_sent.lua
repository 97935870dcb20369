-- record_sent: notes that the recorded reply has reached the user.
-- Returns 'held' | 'lost'

if redis.call('HGET', place.lock, 'token') ~= token then
  return 'lost'
end
allow_when_full(place.lock)
if redis.call('EXISTS', place.reply) == 1 then
  redis.call('HSET', place.reply, 'state', 'sent', 'sentAt', digits(now_ms))
end
return 'held'
