-- survey: counts conversations and messages from rank `first` to `last` of the index. Writes nothing.
-- Returns {now_ms, conversations, waiting, in_flight, added_at_ms of the oldest waiting message or -1, expired_leases,
-- conversations whose messages or lease are damaged}

local conversations = redis.pcall('ZRANGE', partition.active, first, last)  -- a damaged index counts as empty
local waiting, in_flight, oldest, expired, damaged = 0, 0, nil, 0, 0

for _, conversation in ipairs(conversations) do
  local place = place_in(partition, conversation)
  local lock = redis.pcall('HMGET', place.lock, 'token', 'size', 'expiresAt')  -- a damaged key counts as missing
  local size, expires_at = count_in(lock[2]), number_in(lock[3])
  local length = redis.pcall('LLEN', place.queue)
  local is_list = type(length) == 'number'
  if lock.err or lock[1] and not (size and expires_at) or not is_list then
    damaged = damaged + 1
  end
  length = is_list and length or 0
  local held = lock[1] and math.min(size or 0, length) or 0
  waiting = waiting + length - held
  in_flight = in_flight + held
  if lock[1] and (expires_at or 0) < now_ms then
    expired = expired + 1
  end
  local added_at = length > held and stamp_of(redis.call('LINDEX', place.queue, held)) or 0
  if added_at > 0 and (not oldest or added_at < oldest) then
    oldest = added_at
  end
end
return {now_ms, #conversations, waiting, in_flight, oldest or -1, expired, damaged}
