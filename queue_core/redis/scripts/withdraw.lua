-- withdraw: a message was answered without the queue. Marks its id as seen, and takes it out of the waiting ones
-- if an enqueue whose answer was lost had stored it after all.
-- Returns 'marked' (was not there) | 'withdrawn' | 'in flight' (somebody is answering it, or has: too late)

local queue = KEYS[1]
local lock = KEYS[2]
local active = KEYS[3]
local wake = KEYS[4]
local seen = KEYS[5]
local completed = KEYS[6]
local reply = KEYS[7]
local now_ms = ARGV[1]
local conversation = ARGV[2]
local message_id = ARGV[3]
local dedupe_ttl_ms = tonumber(ARGV[4])
local window_ms = tonumber(ARGV[5])
local max_messages = tonumber(ARGV[6])
local idle_ms = tonumber(ARGV[7])
local completed_ttl_ms = tonumber(ARGV[8])

local now = clock_ms(now_ms)
redis.call('SET', seen, digits(now), 'PX', dedupe_ttl_ms)
local tries = tries_of(lock)
-- A batch handed back may have no attempts and yet a reply, which covers so many messages of the head.
local begun = tries[#tries] or tonumber(redis.call('HGET', reply, 'size')) or 0
for index, element in ipairs(redis.call('LRANGE', queue, 0, -1)) do
  local readable, message = pcall(cjson.decode, element)
  if readable and type(message) == 'table' and message['id'] == message_id then
    if index <= begun then
      return 'in flight'
    end
    redis.call('LREM', queue, 1, element)
    redis.call('RPUSH', completed, '{"completedAt":' .. digits(now) .. ',' .. string.sub(element, 2))
    redis.call('PEXPIRE', completed, completed_ttl_ms)
    if begun == 0 then
      schedule_rest(active, wake, queue, conversation, now, window_ms, max_messages, idle_ms)
    end
    return 'withdrawn'
  end
end
return 'marked'
