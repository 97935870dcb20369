-- discard: makes dead letters of unreadable messages of a batch; the lease continues with the other messages.
-- `indexes` lists their indexes in the batch, from 1, as in "1 3". When no message is left, the lease ends.
-- Returns the number of messages that are left, or -1 when the lease is lost.

if redis.call('HGET', place.lock, 'token') ~= token then
  return -1
end
allow_when_full(place.lock)
local tries, reply_covers = tries_of(place), reply_size(place)
local tombstone = 'discarded ' .. token
local gone = 0
for index in string.gmatch(indexes, '%d+') do
  index = tonumber(index)
  local element = redis.call('LINDEX', place.queue, index - 1)
  redis.call('XADD', place.dead, '*', 'conversation', place.conversation, 'reason', reason, 'at', digits(now_ms),
    'attempts', #tries, 'message', element)
  redis.call('LSET', place.queue, index - 1, tombstone)
  gone = gone + 1
end
redis.call('LREM', place.queue, gone, tombstone)

-- Each attempt whose batch was long enough to include an unreadable message is reduced by that message.
local rest = {}
for _, size in ipairs(tries) do
  local before = 0
  for index in string.gmatch(indexes, '%d+') do
    before = before + (tonumber(index) <= size and 1 or 0)
  end
  if size > before then
    rest[#rest + 1] = size - before
  end
end
count_gone(place, gone, now_ms)
local size = tonumber(redis.call('HGET', place.lock, 'size')) - gone
if size > 0 then
  redis.call('HSET', place.lock, 'size', size, 'tries', table.concat(rest, ','))
  if reply_covers then
    redis.call('HSET', place.reply, 'size', size)
  end
  return size
end
redis.call('DEL', place.lock, place.reply)
schedule_rest(place, rules, now_ms)
return 0
