-- fail: ends a lease without success.
-- mode 'retry': again after `backoff_ms`, or dead letters when the attempts are used up. 'dead': dead letters now.
-- 'release': handed back untouched, due at once, the attempt does not count.
-- not_sent '1': the recorded reply has certainly not been sent.
-- Returns {'held', messages made dead letters} | {'settled', 0} (this token did it before) | {'lost', 0}

local queue = KEYS[1]
local lock = KEYS[2]
local active = KEYS[3]
local wake = KEYS[4]
local stats = KEYS[5]
local dead = KEYS[6]
local reply = KEYS[7]
local now_ms = ARGV[1]
local conversation = ARGV[2]
local token = ARGV[3]
local mode = ARGV[4]
local reason = ARGV[5]
local not_sent = ARGV[6]
local backoff_ms = tonumber(ARGV[7])
local max_attempts = tonumber(ARGV[8])
local window_ms = tonumber(ARGV[9])
local max_messages = tonumber(ARGV[10])
local idle_ms = tonumber(ARGV[11])
local stats_ttl_ms = tonumber(ARGV[12])

local held = standing(lock, stats, token)
if held ~= 'held' then
  return {held, 0}
end
allow_when_full(lock)
local now = clock_ms(now_ms)
note_settled(stats, token, now, stats_ttl_ms)
if not_sent == '1' and redis.call('EXISTS', reply) == 1 then
  redis.call('HSET', reply, 'state', 'not sent')
end

local tries = tries_of(lock)
local size = tries[#tries]
if mode == 'release' then
  tries[#tries] = nil
  if #tries == 0 then
    redis.call('DEL', lock)
  else
    end_lease(lock)
    redis.call('HSET', lock, 'tries', table.concat(tries, ','))
  end
  schedule(active, wake, conversation, now)
  return {'held', 0}
end

local count = 0
if mode == 'dead' then
  count = size
elseif #tries >= max_attempts then
  -- A recorded reply answers its whole batch; without one only those go that had all the attempts.
  count = tonumber(redis.call('HGET', reply, 'size')) or tries[1]
  reason = 'given up after ' .. #tries .. ' attempts: ' .. reason
end
if count > 0 then
  tries = give_up(dead, queue, lock, reply, conversation, count, reason, now)
else
  end_lease(lock)
  redis.call('HSET', lock, 'error', reason)
end
if #tries > 0 then
  schedule(active, wake, conversation, now + backoff_ms)
else
  schedule_rest(active, wake, queue, conversation, now, window_ms, max_messages, idle_ms)
end
return {'held', count}
