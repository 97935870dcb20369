-- record_sent: notes that the first `parts` parts of the recorded reply were sent, or with `is_whole` '1' all of it, and
-- confirms the lease for the next part. Since a sent part is progress, attempts are counted from 1 again.
-- Returns 'held' | 'lost'

local lease = redis.call('HMGET', place.lock, 'token', 'size')
if lease[1] ~= token then
  return 'lost'
end
allow_when_full(place.lock, group)
redis.call('HSET', place.lock, 'tries', lease[2])
redis.call('HDEL', place.lock, 'setbacks')
if redis.call('EXISTS', place.reply) == 1 then
  redis.call('HSET', place.reply, 'state', is_whole == '1' and 'sent' or 'unsure', 'sentAt', digits(now_ms))
  if is_whole ~= '1' then
    redis.call('HSET', place.reply, 'parts', parts)
  end
end
note_success(place, place.channel, now_ms, group)
return 'held'
