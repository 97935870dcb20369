-- rescue: repairs damage from outside, by a manual change, a failover that lost a write or another program; the queue
-- causes none. `repair` '1' repairs, '0' only looks and writes nothing.
-- Returns 'stranded' (messages that no worker would look at; workers look at them now)
--   | 'orphan' (a lock or a reply without messages; deleted) | 'fine'

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
  schedule(place, now_ms)  -- claim.lua leaves it to a worker that holds it
else
  redis.call('DEL', place.lock, place.reply)
  redis.call('ZREM', place.active, place.conversation)
end
return verdict
