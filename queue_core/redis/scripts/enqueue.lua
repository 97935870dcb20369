-- enqueue: stores one message, once, and says when its conversation is due.
-- Returns {'queued', added_at_ms, waiting} | {'duplicate', first_added_at_ms, 0} | {'late', dead_at_ms, 0}

local queue = KEYS[1]
local lock = KEYS[2]
local active = KEYS[3]
local wake = KEYS[4]
local seen = KEYS[5]
local stats = KEYS[6]
local dead = KEYS[7]
local now_ms = ARGV[1]
local conversation = ARGV[2]
local message = ARGV[3]
local provider_ms = tonumber(ARGV[4])
local dedupe_ttl_ms = tonumber(ARGV[5])
local late_is_dead = ARGV[6]
local window_ms = tonumber(ARGV[7])
local max_messages = tonumber(ARGV[8])
local idle_ms = tonumber(ARGV[9])
local stats_ttl_ms = tonumber(ARGV[10])
local waits_for_disk = ARGV[11]

local now = clock_ms(now_ms)
local first_seen = redis.call('GET', seen)
if first_seen then
  if waits_for_disk == '1' then
    -- WAITAOF waits for what its own connection wrote, and another one may have stored the message. This write that
    -- changes nothing comes after that one: when it is on the disk, so is the message. A full Redis lets it pass.
    allow_when_full(lock)
    redis.call('SET', seen, first_seen, 'KEEPTTL')
  end
  return {'duplicate', tonumber(first_seen), 0}
end
redis.call('SET', seen, digits(now), 'PX', dedupe_ttl_ms)

local element = stamp(message, now)
if late_is_dead == '1' and provider_ms > 0 and now - provider_ms > dedupe_ttl_ms then
  redis.call('XADD', dead, '*', 'conversation', conversation, 'at', digits(now), 'attempts', 0, 'message', element,
    'reason', 'late: delivered ' .. math.floor((now - provider_ms) / 1000) .. ' s after it was written')
  return {'late', now, 0}
end

local waiting = redis.call('RPUSH', queue, element)
redis.call('HINCRBY', stats, 'totalMessages', 1)
redis.call('HSET', stats, 'lastActivity', digits(now))
redis.call('PEXPIRE', stats, stats_ttl_ms)

schedule_arrival(active, wake, queue, lock, conversation, now, window_ms, max_messages, idle_ms)
return {'queued', now, waiting}
