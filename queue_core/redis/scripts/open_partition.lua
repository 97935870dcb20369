-- open_partition: notes the new number of partitions, and lets processes with that number work in a partition again.
-- If it `is_used`, it takes over what lies beside the conversations: `token`, the last fencing token of all partitions, `since`
-- and `ids` of the layout (seen.lua), and the hold if there is one since `held_ms`. The wait of all messages counts from now.
-- Returns '' | 'left' if bundles wait in its outboxes | the number that is noted, if another process carries or has opened the
-- partition for another number | 'none' if no number is noted

local noted, holder = unpack(redis.call('HMGET', partition.layout, 'partitions', 'mover'))
if holder ~= mover then
  return noted == partition.partitions and '' or noted or 'none'
end
if (number_in(redis.call('HGET', partition.base .. 'carried', 'waiting')) or 0) > 0 then
  return 'left'
end
if is_used == '1' then
  redis.call('HSET', partition.layout, 'version', LAYOUT_VERSION, 'since', since, 'ids', ids)
  if (number_in(redis.call('GET', partition.token)) or 0) < tonumber(token) then
    redis.call('SET', partition.token, token)
  end
  if type_of(partition.hold) ~= 'hash' then
    redis.call('DEL', partition.hold)
  end
  if held_ms ~= '' then
    redis.call('HSETNX', partition.hold, 'since', held_ms)
  end
  redis.call('HSET', partition.looks, 'counts_from', digits(now_ms), 'held_until', digits(now_ms))
  redis.call('HDEL', partition.looks, 'at', 'since', 'sweep', 'watchers')
  ring(partition, now_ms)
end
redis.call('UNLINK', partition.base .. 'carried')
redis.call('HDEL', partition.layout, 'mover')
redis.call('HSET', partition.layout, 'partitions', partition.partitions)
return ''
