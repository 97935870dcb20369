-- rescue: repairs a conversation after damage from outside: a manual change, a failover that lost a write, or another
-- program. `repair` '1' repairs; '0' only looks, and writes nothing.
-- Returns 'stranded' (messages missing in the index; they are due now)
--   | 'orphan' (a lock or a reply without messages; now deleted) | 'fine'

local verdict = 'fine'
if redis.call('EXISTS', place.queue) == 1 then
  if not redis.call('ZSCORE', place.active, place.conversation) then
    verdict = 'stranded'
  end
elseif redis.call('EXISTS', place.lock, place.reply) > 0 then
  verdict = 'orphan'
end
if repair ~= '1' or verdict == 'fine' then
  return verdict
end

allow_when_full(place.lock)
if verdict == 'stranded' then
  schedule(place, now_ms)  -- if a worker holds a lease on it, claim.lua leaves it to that worker
else
  redis.call('DEL', place.lock, place.reply)
  redis.call('ZREM', place.active, place.conversation)
end
return verdict
