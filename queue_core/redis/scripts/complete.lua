-- complete: moves the batch from the head of the list to the archive, ends the lease, schedules the remaining messages.
-- Returns 'held' (done now) | 'settled' (this token did it before) | 'lost'

local lock = redis.call('HMGET', place.lock, 'token', 'size', 'awaited')
if lock[1] ~= token then
  return on_demand().standing(place, token)
end
allow_when_full(place.lock, group)
local size = tonumber(lock[2])
if lock[3] then  -- the turn waited for a backend; so did the messages after it
  on_demand().restart_waits(place.base, now_ms)
end
local elements = redis.call('LRANGE', place.queue, 0, size)
local is_last = #elements <= size  -- no message is left
elements[size + 1] = nil
local others = redis.call('EXISTS', place.reply, place.changes, place.change_notes, place.base .. 'outages')
local send_state = others > 0 and redis.call('HGET', place.reply, 'state')
local is_plain = others == (send_state and 1 or 0)
if not is_plain then
  elements = on_demand().release_changes(place, elements, now_ms)
end
note_settled(place, token, now_ms, stats_ttl_ms, size)
-- The lease ends first: if Redis stops the script here, the turn is answered again, while a lease of a batch that is gone
-- would take as many of the next messages with it.
if is_last and is_plain then
  redis.call('DEL', place.lock, place.reply, place.queue)
  redis.call('ZREM', place.active, place.conversation)
else
  redis.call('DEL', place.lock, place.reply)
  redis.call('LTRIM', place.queue, size, -1)
  schedule_rest(place, rules, now_ms)
end

-- The turn is done. The archive comes last, so that its failure does no other harm.
pcall(guarded, place, now_ms, archive_batch, place, elements, now_ms, completed_ttl_ms)
if not send_state then
  note_success(place, place.ai, now_ms, group)
elseif send_state ~= 'sent' then  -- else an earlier attempt sent it
  note_success(place, place.channel, now_ms, group)
end
if not is_plain then
  release_backends(place, now_ms)
end
return 'held'
