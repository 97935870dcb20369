-- rescue: puts right what no step of this queue leaves behind, but a hand in the data, a failover that lost a write or
-- another program can. `repair` '1' does it, '0' only looks and writes nothing.
-- Returns 'stranded' (messages that no worker would look at; due now, or when a lease that is held ends)
--   | 'orphan' (a lock or a reply without messages; deleted) | 'fine'

local queue = KEYS[1]
local lock = KEYS[2]
local reply = KEYS[3]
local active = KEYS[4]
local wake = KEYS[5]
local now_ms = ARGV[1]
local conversation = ARGV[2]
local repair = ARGV[3]

local found = 'fine'
if redis.call('EXISTS', queue) == 1 then
  if not redis.call('ZSCORE', active, conversation) then
    found = 'stranded'
  end
elseif redis.call('EXISTS', lock, reply) > 0 then
  found = 'orphan'
end
if repair ~= '1' or found == 'fine' then
  return found
end

allow_when_full(lock)
if found == 'stranded' then
  -- Whoever holds it may be at work on it.
  local lease_ends = tonumber(redis.call('HGET', lock, 'expiresAt') or 0)
  schedule(active, wake, conversation, math.max(clock_ms(now_ms), lease_ends))
else
  redis.call('DEL', lock, reply)
  redis.call('ZREM', active, conversation)
end
return found
