-- requeue: moves a dead letter to the end of its conversation, or of the conversation `to` if given, as if it arrived now.
-- With `follows`, nothing is moved if the user's messages belong to another conversation (aliases.lua).
-- Returns 1 if it was moved | 0 if there is no such dead letter, or its entry is too damaged to tell whose message it is
--   | the other conversation to which the user's messages belong

read_layout(partition)
local entry = redis.call('XRANGE', partition.dead, dead_id, dead_id)[1]
if not entry then
  return 0
end
local fields = {}
for index = 1, #entry[2], 2 do
  fields[entry[2][index]] = entry[2][index + 1]
end
if not fields['conversation'] or not fields['message'] then
  return 0
end
local conversation = to ~= '' and to or fields['conversation']
local target = follows == '1' and redis.pcall('GET', partition.base .. 'alias:' .. conversation)
if type(target) == 'string' then
  return target
end
local place = place_in(partition, conversation)
local element = unstamped(fields['message'])
if string.sub(element, 1, 1) == '{' then
  element = stamp(element, now_ms)
end
redis.call('RPUSH', place.queue, element)
redis.call('XDEL', partition.dead, dead_id)
if (number_in(redis.pcall('HGET', place.stats, 'gone')) or 0) > 0 then
  redis.pcall('HINCRBY', place.stats, 'gone', -1)
end
schedule_arrival(place, rules, now_ms)
return 1
