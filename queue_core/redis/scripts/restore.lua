-- restore: puts the messages of a damaged key that was moved aside at the end of their conversation, as if they arrived
-- now, up to `limit` at a time. When none is left, the key and its entry are deleted.
-- Returns {messages put back, messages left}, {-1, 0} when no damaged key has that id, {-2, 0} when it has no messages.

local entry = redis.call('XRANGE', partition.damaged, damaged_id, damaged_id)[1]
if not entry then
  return {-1, 0}
end
local fields = {}
for index = 1, #entry[2], 2 do
  fields[entry[2][index]] = entry[2][index + 1]
end
local kept_as = partition.damaged .. ':' .. damaged_id
local kind = type_of(kept_as)
if fields['name'] ~= 'queue' or kind ~= 'list' and kind ~= 'string' then
  return {-2, 0}
end

local place = place_in(partition, fields['conversation'])
local elements = kind == 'list' and redis.call('LRANGE', kept_as, 0, limit - 1) or {redis.call('GET', kept_as)}
for _, element in ipairs(elements) do
  element = unstamped(element)
  redis.call('RPUSH', place.queue, string.sub(element, 1, 1) == '{' and stamp(element, now_ms) or element)
end
local left = 0
if kind == 'list' then
  redis.call('LTRIM', kept_as, #elements, -1)
  left = redis.call('LLEN', kept_as)
end
if left == 0 then
  redis.call('DEL', kept_as)
  redis.call('XDEL', partition.damaged, damaged_id)
end
guarded(place, now_ms, function()
  schedule_arrival(place, rules, now_ms)
end)
return {#elements, left}
