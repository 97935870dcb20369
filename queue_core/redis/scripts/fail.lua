-- fail: ends a lease without success.
-- `mode` is 'retry': due again after `backoff_ms`, or dead letters when the attempts are used up; 'dead': dead letters now;
-- or 'release': handed back untouched and due at once, and the attempt does not count.
-- `not_sent` is '1' if the recorded reply has certainly not been sent.
-- `backend` names the backend that caused the failure, '' if the turn itself did. A failure of a backend does not count as
-- an attempt, and the turn is due again after `wait_ms`. There are two exceptions: `counts` is '1'; or the backend served
-- another conversation in the last `took_ms` or since this turn failed last. In the second case the turn itself is to blame,
-- and the failure is not a sign against the backend. `asked_ms` is a wait that the backend asks for.
-- Without a backend, `counts` '0' means a rate limit: the attempt does not count, and the turn is due after `wait_ms`.
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

local is_limited = backend == '' and counts ~= '1'

-- Ends the attempt without counting it.
local function set_back()
  take_back_lease(place)
  redis.call('HINCRBY', place.lock, 'setbacks', 1)
  redis.call('HSET', place.lock, 'error', reason, 'awaited', is_limited and 'limit' or backend,
    'again', digits(now_ms + wait_ms), 'waitMs', digits(wait_ms), 'failedAt', digits(now_ms))
  schedule(place, now_ms + wait_ms)
end

-- Counts the attempt. Returns the number of messages that became dead letters.
local function count_attempt()
  local tries = tries_of(place)
  local size = tries[#tries] or 0
  local count, cause = 0, reason
  if mode == 'dead' then
    count = size
  elseif #tries >= max_attempts then
    -- A recorded reply answers its whole batch; without one only messages that had all attempts are given up.
    count = reply_size(place) or tries[1]
    cause = 'given up after ' .. attempts(#tries) .. ': ' .. reason
  end
  if count > 0 and must_wait(place, count, cause, now_ms, dead_letters_max) then
    return 0
  elseif count > 0 then
    tries = give_up(place, count, cause, now_ms)
  else
    end_lease(place)
    redis.call('HSET', place.lock, 'error', reason, 'failedAt', digits(now_ms))
  end
  if #tries > 0 then
    redis.call('HSET', place.lock, 'waitMs', digits(backoff_ms))
    schedule(place, now_ms + backoff_ms)
  else
    schedule_rest(place, rules, now_ms)
  end
  return count
end

local given_up = 0
local lock = redis.call('HMGET', place.lock, 'answered', 'failedAt', 'awaited', 'changed', 'size')
local answered = lock[1]
local is_sign = backend ~= '' and not is_own_fault(place, backend, took_ms, number_in(lock[2]), now_ms)
if lock[4] then
  apply_changes(place, tonumber(lock[5]), now_ms, completed_ttl_ms)
end
if answered and redis.call('EXISTS', place.reply) == 0 then
  finish_answered(place, answered, now_ms, completed_ttl_ms)
end
if redis.call('EXISTS', place.queue) == 0 then
  redis.call('DEL', place.lock, place.reply)
  redis.call('ZREM', place.active, place.conversation)
elseif mode == 'release' then
  take_back_lease(place)
  schedule(place, now_ms)
elseif is_limited and mode == 'retry' or is_sign and counts ~= '1' then
  set_back()
else
  given_up = count_attempt()
end
if lock[3] and given_up > 0 then  -- the turn waited for a backend; so did the messages after it
  restart_waits(place.base, now_ms)
end
if is_sign then
  note_failure(place, backend, reason, now_ms, asked_ms)
end
release_backends(place, now_ms)
return {'held', given_up}
