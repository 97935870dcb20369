-- record_reply: keeps the reply to a batch, and confirms the lease right before a send.
-- The state becomes 'unsure': after a crash it is unknown whether the reply, or its next part, was sent.
--
-- If the turn has changed, the reply is not kept: the lease ends, its attempt does not count, and the changed turn is
-- scheduled. Three things change a turn:
-- - a message of it was answered without the queue: that message is finished;
-- - a message of it was edited or deleted: the next claim applies that;
-- - with `supersede_ms`, a newer message joined it: the turn is due by the ordinary rule, but at the latest
--   `supersede_ms` after its oldest message.
-- A reply that an earlier call recorded stays.
--
-- Returns 'held' | 'superseded' | 'lost'

local lock = redis.call('HMGET', place.lock, 'token', 'size', 'answered', 'changed')
if lock[1] ~= token then
  -- If the token is settled, an earlier try of this call settled it and its answer was lost: no other call settles a
  -- token whose reply is not recorded yet.
  return rare().standing(place, token) == 'settled' and 'superseded' or 'lost'
end
allow_when_full(place.lock, parcel)
local size = tonumber(lock[2])

-- True if a reply to this batch was recorded before.
local is_kept = redis.call('EXISTS', place.reply) == 1

-- Returns true if a newer message joins the turn. A batch that is cut at `max_batch` takes no more messages.
local function is_joined()
  if supersede_ms == 0 or size >= max_batch or redis.call('LLEN', place.queue) <= size then
    return false
  end
  local oldest = stamp_of(redis.call('LINDEX', place.queue, 0))
  return stamp_of(redis.call('LINDEX', place.queue, -1)) - oldest < supersede_ms
end

-- Ends the lease and schedules the changed turn, not later than `latest`.
local function start_again(latest)
  note_settled(place, token, now_ms, stats_ttl_ms)
  rare().take_back_lease(place)
  schedule_rest(place, rules, now_ms, latest)
  if redis.call('EXISTS', place.queue) == 0 then
    redis.call('DEL', place.lock)
  end
  release_backends(place, now_ms)
  return 'superseded'
end

if not is_kept then
  note_success(place, place.ai, now_ms, parcel)
end
if (lock[3] or lock[4]) and not is_kept then
  if lock[3] then
    rare().finish_answered(place, lock[3], now_ms, completed_ttl_ms)
  end
  redis.call('HDEL', place.lock, 'changed')
  return start_again(redis.call('HGET', place.lock, 'latest'))
elseif not is_kept and is_joined() then
  local latest = stamp_of(redis.call('LINDEX', place.queue, 0)) + supersede_ms
  redis.call('HSET', place.lock, 'latest', digits(latest))
  return start_again(latest)
end
redis.call('HSET', place.reply, 'text', text, 'size', size, 'state', 'unsure', 'recordedAt', digits(now_ms))
return 'held'
