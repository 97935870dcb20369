-- drop_old: makes dead letters of the messages of a conversation that arrived before `before_ms`, oldest first, `limit` at
-- a time, or more if a batch with a recorded reply is larger. Leaves a conversation alone while a worker answers it.
-- Returns the number of new dead letters; 0 when none is left, -1 when there is no room for more.

read_layout(place)
local lock = redis.call('HMGET', place.lock, 'token', 'expiresAt', 'answered')
if lock[1] and (number_in(lock[2]) or 0) > now_ms then
  return 0
end
local count = older_messages(place, 0, before_ms)
if count > 0 and lock[3] and redis.call('EXISTS', place.reply) == 0 then
  finish_answered(place, lock[3], now_ms, completed_ttl_ms)
  end_lease(place)  -- the lease was on other messages
  count = older_messages(place, 0, before_ms)
end
if count > 0 and has_changes(place) then
  apply_changes(place, limit, now_ms, completed_ttl_ms)
  end_lease(place)  -- the lease was on other messages
  count = older_messages(place, 0, before_ms)
end
if redis.call('EXISTS', place.queue) == 0 then
  redis.call('DEL', place.lock)
  schedule_rest(place, rules, now_ms)
end
if count == 0 then
  return 0
end
local replied = tonumber(redis.call('HGET', place.reply, 'size')) or 0
local room = dead_letters_max - redis.call('XLEN', place.dead)
if room <= 0 then
  return -1
end
count = math.max(math.min(count, limit, room), replied)
local tries = give_up(place, count, reason, now_ms)
if #tries == 0 then
  schedule_rest(place, rules, now_ms)
end
return count
