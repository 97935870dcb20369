-- record_reply: keeps the reply, for the batch that the lease covers, and confirms the lease: called right before a send.
-- The state becomes 'unsure': after a crash nobody knows whether the reply, or its next part, was sent.
-- With `supersede_ms`, a reply is not kept if a message that joins the turn came meanwhile: the lease ends, its attempt
-- does not count, and the turn is due again by the ordinary rule, `supersede_ms` after its oldest message at the latest.
-- Returns 'held' | 'superseded' | 'lost'

local held = standing(place, token)
if held ~= 'held' then
  -- Settled by this call, whose answer was lost: nothing else settles a token before its reply is kept.
  return held == 'settled' and 'superseded' or 'lost'
end
allow_when_full(place.lock)
local size = tonumber(redis.call('HGET', place.lock, 'size'))

-- A batch cut at `max_batch` does not take more in.
local function is_superseded()
  if supersede_ms == 0 or size >= max_batch or redis.call('EXISTS', place.reply) == 1
    or redis.call('LLEN', place.queue) <= size then
    return false
  end
  local oldest = stamp_of(redis.call('LINDEX', place.queue, 0))
  return stamp_of(redis.call('LINDEX', place.queue, -1)) - oldest < supersede_ms
end

if is_superseded() then
  local latest = stamp_of(redis.call('LINDEX', place.queue, 0)) + supersede_ms
  take_back_lease(place)
  redis.call('HSET', place.lock, 'latest', digits(latest))
  note_settled(place, token, now_ms, stats_ttl_ms)
  schedule_rest(place, rules, now_ms, latest)
  return 'superseded'
end
redis.call('HSET', place.reply, 'text', text, 'size', size, 'state', 'unsure', 'recordedAt', digits(now_ms))
return 'held'
