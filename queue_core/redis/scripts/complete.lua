-- complete: takes the batch off the head into the archive, ends the lease, schedules what arrived since.
-- Returns 'held' (done now) | 'settled' (this token did it before) | 'lost'

local queue = KEYS[1]
local lock = KEYS[2]
local active = KEYS[3]
local wake = KEYS[4]
local stats = KEYS[5]
local completed = KEYS[6]
local reply = KEYS[7]
local now_ms = ARGV[1]
local conversation = ARGV[2]
local token = ARGV[3]
local window_ms = tonumber(ARGV[4])
local max_messages = tonumber(ARGV[5])
local idle_ms = tonumber(ARGV[6])
local completed_ttl_ms = tonumber(ARGV[7])
local stats_ttl_ms = tonumber(ARGV[8])

local held = standing(lock, stats, token)
if held ~= 'held' then
  return held
end
allow_when_full(lock)
local now = clock_ms(now_ms)
local size = tonumber(redis.call('HGET', lock, 'size'))
for _, element in ipairs(redis.call('LRANGE', queue, 0, size - 1)) do
  redis.call('RPUSH', completed, '{"completedAt":' .. digits(now) .. ',' .. string.sub(element, 2))
end
redis.call('LTRIM', queue, size, -1)
redis.call('DEL', lock, reply)

-- The archive of a conversation that never pauses would never expire as a whole.
local oldest = redis.call('LINDEX', completed, 0)
while oldest and (tonumber(string.match(oldest, '^{"completedAt":(%d+)')) or 0) < now - completed_ttl_ms do
  redis.call('LPOP', completed)
  oldest = redis.call('LINDEX', completed, 0)
end
redis.call('PEXPIRE', completed, completed_ttl_ms)

redis.call('HINCRBY', stats, 'processedMessages', size)
note_settled(stats, token, now, stats_ttl_ms)
schedule_rest(active, wake, queue, conversation, now, window_ms, max_messages, idle_ms)
return 'held'
