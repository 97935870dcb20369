-- requeue: moves a dead letter to the end of its conversation, as if it arrived now. `to` is another conversation of this
-- partition to which the user's messages belong by now, '' without one.
-- Returns 1, or 0 when there is no such dead letter, or it was damaged so that nobody knows whose message it is.

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
local place = place_in(partition, to ~= '' and to or fields['conversation'])
local element = unstamped(fields['message'])
if string.sub(element, 1, 1) == '{' then
  element = stamp(element, now_ms)
end
redis.call('RPUSH', place.queue, element)
redis.call('XDEL', partition.dead, dead_id)
schedule_arrival(place, rules, now_ms)
return 1
