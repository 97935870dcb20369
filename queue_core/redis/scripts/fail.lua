-- fail: ends a lease without success.
-- mode 'retry': due again after `backoff_ms`, or dead letters when the attempts are used up. 'dead': dead letters now.
-- 'release': handed back untouched, due at once, the attempt does not count.
-- not_sent '1': the recorded reply has certainly not been sent.
-- Returns {'held', number of new dead letters} | {'settled', 0} (this token did it before) | {'lost', 0}

local held = standing(place, token)
if held ~= 'held' then
  return {held, 0}
end
allow_when_full(place.lock)
note_settled(place, token, now_ms, stats_ttl_ms)
if not_sent == '1' and redis.call('EXISTS', place.reply) == 1 then
  redis.call('HSET', place.reply, 'state', 'not sent')
end

local answered = redis.call('HGET', place.lock, 'answered')
if answered and redis.call('EXISTS', place.reply) == 0 then
  finish_answered(place, answered, now_ms, completed_ttl_ms)
  if redis.call('EXISTS', place.queue) == 0 then
    redis.call('DEL', place.lock)
    redis.call('ZREM', place.active, place.conversation)
    return {'held', 0}
  end
end

if mode == 'release' then
  take_back_lease(place)
  schedule(place, now_ms)
  return {'held', 0}
end

local tries = tries_of(place)
local size = tries[#tries] or 0
local count = 0
if mode == 'dead' then
  count = size
elseif #tries >= max_attempts then
  -- A recorded reply answers its whole batch; without one only messages that had all attempts are given up.
  count = reply_size(place) or tries[1]
  reason = 'given up after ' .. attempts(#tries) .. ': ' .. reason
end
if count > 0 and must_wait(place, reason, now_ms, dead_letters_max) then
  return {'held', 0}
elseif count > 0 then
  tries = give_up(place, count, reason, now_ms)
else
  end_lease(place)
  redis.call('HSET', place.lock, 'error', reason)
end
if #tries > 0 then
  schedule(place, now_ms + backoff_ms)
else
  schedule_rest(place, rules, now_ms)
end
return {'held', count}
