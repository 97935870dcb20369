-- record_reply: keeps the reply, for the batch that the lease covers, and confirms the lease: called right before a send.
-- The state becomes 'unsure': after a crash nobody knows whether the reply, or its next part, was sent.
-- A reply is not kept if its batch is not the turn any more: then the lease ends, its attempt does not count, and what
-- the turn is now is due. That is so if one of its messages was answered without the queue meanwhile (that message is
-- finished), or, with `supersede_ms`, if a message came that joins the turn (the turn is due again by the ordinary rule,
-- `supersede_ms` after its oldest message at the latest).
-- Returns 'held' | 'superseded' | 'lost'

local lock = redis.call('HMGET', place.lock, 'token', 'size', 'answered')
if lock[1] ~= token then
  -- Settled by this call, whose answer was lost: nothing else settles a token before its reply is kept.
  return standing(place, token) == 'settled' and 'superseded' or 'lost'
end
allow_when_full(place.lock)
local size = tonumber(lock[2])

local function is_kept()
  return redis.call('EXISTS', place.reply) == 1
end

-- A batch cut at `max_batch` does not take more in.
local function is_joined()
  if supersede_ms == 0 or size >= max_batch or redis.call('LLEN', place.queue) <= size then
    return false
  end
  local oldest = stamp_of(redis.call('LINDEX', place.queue, 0))
  return stamp_of(redis.call('LINDEX', place.queue, -1)) - oldest < supersede_ms
end

local function start_again(latest)
  take_back_lease(place)
  note_settled(place, token, now_ms, stats_ttl_ms)
  schedule_rest(place, rules, now_ms, latest)
  if redis.call('EXISTS', place.queue) == 0 then
    redis.call('DEL', place.lock)
  end
  return 'superseded'
end

if lock[3] and not is_kept() then
  finish_answered(place, lock[3], now_ms, completed_ttl_ms)
  return start_again(redis.call('HGET', place.lock, 'latest'))
elseif is_joined() and not is_kept() then
  local latest = stamp_of(redis.call('LINDEX', place.queue, 0)) + supersede_ms
  redis.call('HSET', place.lock, 'latest', digits(latest))
  return start_again(latest)
end
redis.call('HSET', place.reply, 'text', text, 'size', size, 'state', 'unsure', 'recordedAt', digits(now_ms))
return 'held'
