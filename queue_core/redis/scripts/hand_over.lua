-- hand_over: deletes the bundles for a target up to the number `arrived`, since they have arrived there.
-- Returns the next ones, as packed words; '' if there are none

local BYTES_MAX, BUNDLES_MAX = 262144, 100

require_mover(partition, mover, absent)
local outbox = partition.base .. 'outbox:' .. target
while true do
  local number = string.match(redis.call('LINDEX', outbox, 0) or '', '^%d+')
  if not number or tonumber(number) > arrived then
    break
  end
  redis.call('LPOP', outbox)
  redis.call('HINCRBY', partition.base .. 'carried', 'waiting', -1)
end
local bundles, bytes = {}, 0
while #bundles < BUNDLES_MAX and bytes < BYTES_MAX do
  local text = redis.call('LINDEX', outbox, #bundles)
  if not text then
    break
  end
  bundles[#bundles + 1] = text
  bytes = bytes + #text
end
return packed(bundles)
