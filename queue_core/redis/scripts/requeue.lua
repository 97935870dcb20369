-- requeue: puts a dead letter at the end of its conversation, as if it arrived now.
-- Returns 1, or 0 when there is no such dead letter.

local dead = KEYS[1]
local active = KEYS[2]
local wake = KEYS[3]
local now_ms = ARGV[1]
local base = ARGV[2]
local dead_id = ARGV[3]
local window_ms = tonumber(ARGV[4])
local max_messages = tonumber(ARGV[5])
local idle_ms = tonumber(ARGV[6])

local entry = redis.call('XRANGE', dead, dead_id, dead_id)[1]
if not entry then
  return 0
end
local fields = {}
for index = 1, #entry[2], 2 do
  fields[entry[2][index]] = entry[2][index + 1]
end
local now = clock_ms(now_ms)
local conversation = fields['conversation']
local queue = base .. 'msg_queue:' .. conversation
local element = unstamped(fields['message'])
if string.sub(element, 1, 1) == '{' then
  element = stamp(element, now)
end
redis.call('RPUSH', queue, element)
redis.call('XDEL', dead, dead_id)
local lock = base .. 'processing_lock:' .. conversation
schedule_arrival(active, wake, queue, lock, conversation, now, window_ms, max_messages, idle_ms)
return 1
