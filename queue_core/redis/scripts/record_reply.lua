-- record_reply: keeps the reply to a batch, and confirms the lease right before a send.
-- The state becomes 'unsure': after a crash it is unknown whether the reply, or its next part, was sent.
--
-- If the turn has changed, the reply is not kept: the lease ends, its attempt does not count, and the changed turn is
-- scheduled. Three things change a turn:
-- - a message of it was answered without the queue: that message is finished;
-- - a message of it was edited or deleted: the next claim applies that;
-- - with `supersede_ms`, a newer message joined it: the turn is due by the ordinary rule, but at the latest
--   `supersede_ms` after its oldest message. A batch that is cut at `max_batch` takes no more messages.
-- A reply that an earlier call recorded stays.
--
-- Returns 'held' | 'superseded' | 'lost'

local lock = redis.call('HMGET', place.lock, 'token', 'size', 'answered', 'changed')
if lock[1] ~= token then
  -- If the token is settled, an earlier try of this call settled it and its answer was lost: no other call settles a
  -- token whose reply is not recorded yet.
  return on_demand().standing(place, token) == 'settled' and 'superseded' or 'lost'
end
allow_when_full(place.lock, group)
local size = tonumber(lock[2])

-- True if a reply to this batch was recorded before.
local state = redis.call('HGET', place.reply, 'state')
local is_kept = state ~= false

if not is_kept then
  note_success(place, place.ai, now_ms, group)
end
if (lock[3] or lock[4]) and not is_kept then
  if lock[3] then
    on_demand().finish_answered(place, lock[3], now_ms, completed_ttl_ms)
  end
  redis.call('HDEL', place.lock, 'changed')
  on_demand().start_again(place, rules, token, redis.call('HGET', place.lock, 'latest'), now_ms, stats_ttl_ms)
  return 'superseded'
elseif not is_kept and supersede_ms > 0 and size < max_batch and on_demand().is_joined(place, size, supersede_ms) then
  local latest = stamp_of(redis.call('LINDEX', place.queue, 0)) + supersede_ms
  redis.call('HSET', place.lock, 'latest', digits(latest))
  on_demand().start_again(place, rules, token, latest, now_ms, stats_ttl_ms)
  return 'superseded'
end
if state ~= 'sent' then  -- a late copy of the call takes no note back
  redis.call('HSET', place.reply, 'text', text, 'size', size, 'state', 'unsure', 'recordedAt', digits(now_ms))
end
return 'held'
