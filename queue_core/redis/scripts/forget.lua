-- forget: deletes the keys of a conversation except `names`, which the caller deletes last. Deletes nothing while it is being
-- answered, nor while messages wait and `drop_waiting` is not '1'. With `only_looks` '1' it deletes nothing at all.
-- A key of an unexpected type counts as one element, and is deleted too.
-- Returns {'forgotten' | 'waiting' | 'in flight', messages in the queue, ms until the lease ends, finished messages,
--   1 if a reply was recorded, 1 if there was a memory, more than 0 if there were statistics or notes on undelivered replies}

read_layout(place)
local function count(command, key)
  local answer = redis.pcall(command, key)
  return type(answer) == 'number' and answer or 1
end

local lock = redis.pcall('HMGET', place.lock, 'token', 'expiresAt')
local lease_left_ms = lock[1] and math.max(0, (number_in(lock[2]) or 0) - now_ms) or 0
local waiting = count('LLEN', place.queue)
local standing = 'forgotten'
if lease_left_ms > 0 then
  standing = 'in flight'
elseif waiting > 0 and drop_waiting ~= '1' then
  standing = 'waiting'
end
local kept = {
  count('LLEN', place.completed), redis.call('EXISTS', place.reply), redis.call('EXISTS', place.memory),
  redis.call('EXISTS', place.stats, place.undelivered),
}
if standing == 'forgotten' and only_looks ~= '1' then
  redis.call('UNLINK', place.queue, place.lock, place.reply, place.completed, place.memory, place.stats)
  redis.call('UNLINK', place.alias, place.behind)
  redis.call('UNLINK', place.undelivered, place.sent_again, place.changes, place.change_notes)
  redis.call('ZREM', place.active, place.conversation)
  forget_waits(place)
end
return {standing, waiting, lease_left_ms, unpack(kept)}
