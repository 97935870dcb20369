-- close_partition: lets no process work in a partition while conversations are carried. `before` is the number of partitions
-- until now, `change` both numbers, as in "16>32"; `mover` is a token of the process that carries.
-- Returns '' | the number that is noted, if it is another; then nothing was changed

local noted, oldest = unpack(redis.call('HMGET', partition.layout, 'partitions', 'oldest'))
if noted and noted ~= before and noted ~= change then
  return noted
end
redis.call('HSET', partition.layout, 'partitions', change, 'mover', mover,
  'oldest', math.max(LAYOUT_KNOWN, number_in(oldest) or 0))
return ''
