-- restore: puts messages of a damaged key, of any type, back at the end of their conversation, as if they arrived now, up
-- to `limit` at a time. When none is left, the key and its entry are deleted.
-- Returns {messages put back, messages left}, {-1, 0} when no damaged key has that id, {-2, 0} when it has no messages.

read_layout(partition)
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
local sizes = {hash = 'HLEN', stream = 'XLEN', set = 'SCARD', zset = 'ZCARD', list = 'LLEN', string = 'STRLEN'}
if fields['name'] ~= 'queue' or not sizes[kind] then
  return {-2, 0}
end

-- Returns up to `limit` messages of the key, and the arguments of the command that removes them.
local function first_messages()
  local elements, members = {}, {}
  if kind == 'hash' then
    for index, item in ipairs(redis.call('HGETALL', kept_as)) do
      if #members == limit and index % 2 == 1 then
        break
      end
      table.insert(index % 2 == 1 and members or elements, item)
    end
    return elements, {'HDEL', kept_as, unpack(members)}
  elseif kind == 'stream' then
    for _, item in ipairs(redis.call('XRANGE', kept_as, '-', '+', 'COUNT', limit)) do
      table.insert(members, item[1])
      for index = 2, #item[2], 2 do
        table.insert(elements, item[2][index])
      end
    end
    return elements, #members > 0 and {'XDEL', kept_as, unpack(members)} or {'DEL', kept_as}
  elseif kind == 'set' then
    elements = redis.call('SRANDMEMBER', kept_as, limit)
    return elements, {'SREM', kept_as, unpack(elements)}
  elseif kind == 'zset' then
    elements = redis.call('ZRANGE', kept_as, 0, limit - 1)
    return elements, {'ZREM', kept_as, unpack(elements)}
  elseif kind == 'list' then
    elements = redis.call('LRANGE', kept_as, 0, limit - 1)
    return elements, {'LTRIM', kept_as, #elements, -1}
  end
  return {redis.call('GET', kept_as)}, {'DEL', kept_as}
end

local place = place_in(partition, fields['conversation'])
local elements, removal = first_messages()
if kind ~= 'list' and kind ~= 'stream' then  -- other types keep no order, so the times of arrival give it
  table.sort(elements, function(one, other)
    local at, other_at = stamp_of(one), stamp_of(other)
    return at < other_at or at == other_at and one < other
  end)
end
guarded(place, now_ms, function()
  redis.call('LLEN', place.queue)  -- fails if it is damaged again
end)
for _, element in ipairs(elements) do
  element = unstamped(element)
  redis.call('RPUSH', place.queue, string.sub(element, 1, 1) == '{' and stamp(element, now_ms) or element)
end
redis.call(unpack(removal))
local left = redis.call(sizes[kind], kept_as)
if left == 0 then
  redis.call('DEL', kept_as)
  redis.call('XDEL', partition.damaged, damaged_id)
end
guarded(place, now_ms, function()
  schedule_arrival(place, rules, now_ms)
end)
return {#elements, left}
