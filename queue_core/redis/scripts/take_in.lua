-- take_in: puts a message of another partition at the end of its conversation, as if it arrived now. A repeated call with the same
-- `mark` puts nothing.
-- Returns 1 if it is there | 0 if the conversation has left this place, its former one

-- Time for which a call may be repeated.
local REPEATED_MS = 30 * 24 * 3600 * 1000

if redis.call('EXISTS', mark) == 1 then
  return 1
elseif place.is_former == '1' and redis.call('EXISTS', place.queue, place.lock) == 0 then
  return 0
end
local element = unstamped(message)
redis.call('RPUSH', place.queue, string.sub(element, 1, 1) == '{' and stamp(element, now_ms) or element)
redis.call('SET', mark, 1, 'PX', REPEATED_MS)
schedule_arrival(place, rules, now_ms)
return 1
