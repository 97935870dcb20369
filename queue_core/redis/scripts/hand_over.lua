-- hand_over: deletes the parcels for a target up to the number `arrived`, since they were carried out there.
-- Returns the next ones, as packed words; '' if there are none

local BYTES_MAX, PARCELS_MAX = 262144, 100

require_mover(partition, mover)
local outbox = partition.base .. 'outbox:' .. target
while true do
  local number = string.match(redis.call('LINDEX', outbox, 0) or '', '^%d+')
  if not number or tonumber(number) > arrived then
    break
  end
  redis.call('LPOP', outbox)
end
local parcels, bytes = {}, 0
while #parcels < PARCELS_MAX and bytes < BYTES_MAX do
  local text = redis.call('LINDEX', outbox, #parcels)
  if not text then
    break
  end
  parcels[#parcels + 1] = text
  bytes = bytes + #text
end
return packed(parcels)
