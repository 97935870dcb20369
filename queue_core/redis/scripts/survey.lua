-- survey: counts conversations and messages from rank `first` to `last` of the index. Writes nothing.
-- Returns {now_ms, conversations, waiting, in_flight, added_at_ms of the oldest waiting message or -1, expired_leases}

local conversations = redis.pcall('ZRANGE', partition.active, first, last)  -- a damaged index counts as empty
local waiting, in_flight, oldest, expired = 0, 0, nil, 0

local function count(place)
  local lock = redis.call('HMGET', place.lock, 'token', 'size', 'expiresAt')
  local length = redis.call('LLEN', place.queue)
  local held = lock[1] and math.min(tonumber(lock[2] or nil) or 0, length) or 0
  waiting = waiting + length - held
  in_flight = in_flight + held
  if lock[1] and (tonumber(lock[3] or nil) or 0) < now_ms then
    expired = expired + 1
  end
  local added_at = length > held and stamp_of(redis.call('LINDEX', place.queue, held)) or 0
  if added_at > 0 and (not oldest or added_at < oldest) then
    oldest = added_at
  end
end

for _, conversation in ipairs(conversations) do
  pcall(count, place_in(partition, conversation))  -- a damaged conversation counts as empty
end
return {now_ms, #conversations, waiting, in_flight, oldest or -1, expired}
