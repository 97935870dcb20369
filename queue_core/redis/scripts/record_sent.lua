-- record_sent: notes that the first `parts` parts of the recorded reply were sent, or with `is_whole` '1' all of it, and
-- confirms the lease for the next part. Since a sent part is progress, attempts are counted from 1 again. A late copy of an
-- earlier call, which the network delivers after a newer one, takes back nothing.
-- Returns 'held' | 'lost'

local lease = redis.call('HMGET', place.lock, 'token', 'size')
if lease[1] ~= token then
  return 'lost'
end
allow_when_full(place.lock, group)
redis.call('HSET', place.lock, 'tries', lease[2])
redis.call('HDEL', place.lock, 'setbacks')
local known = redis.call('HMGET', place.reply, 'state', 'parts')
if known[1] and is_whole == '1' then
  redis.call('HSET', place.reply, 'state', 'sent', 'sentAt', digits(now_ms))
elseif known[1] and known[1] ~= 'sent' and tonumber(parts) >= (number_in(known[2]) or 0) then
  redis.call('HSET', place.reply, 'state', 'unsure', 'sentAt', digits(now_ms), 'parts', parts)
end
note_success(place, place.channel, now_ms, group)
return 'held'
