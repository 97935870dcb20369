-- survey: counts what lies in a page of the index, by rank from `first` to `last`. Writes nothing.
-- Keys of the conversations found are made from `base`; they share the partition's slot.
-- Returns {now_ms, conversations, waiting, in_flight, added_at_ms of the oldest waiting message or -1, expired_leases}

local active = KEYS[1]
local now_ms = ARGV[1]
local base = ARGV[2]
local first = ARGV[3]
local last = ARGV[4]

local now = clock_ms(now_ms)
local conversations = redis.call('ZRANGE', active, first, last)
local waiting, in_flight, oldest, expired = 0, 0, nil, 0
for _, conversation in ipairs(conversations) do
  local queue = base .. 'msg_queue:' .. conversation
  local lock = redis.call('HMGET', base .. 'processing_lock:' .. conversation, 'token', 'size', 'expiresAt')
  local length = redis.call('LLEN', queue)
  local held = lock[1] and math.min(tonumber(lock[2]), length) or 0
  waiting = waiting + length - held
  in_flight = in_flight + held
  if lock[1] and tonumber(lock[3]) < now then
    expired = expired + 1
  end
  local added_at = length > held and stamp_of(redis.call('LINDEX', queue, held)) or 0
  if added_at > 0 and (not oldest or added_at < oldest) then
    oldest = added_at
  end
end
return {now, #conversations, waiting, in_flight, oldest or -1, expired}
