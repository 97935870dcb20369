-- withdraw: notes that a message was answered without the queue. Marks its id as seen, and takes it out of the queue if
-- an enqueue whose answer was lost had stored it. A message in flight is noted in the lock: it is taken out when the
-- attempt ends, or when its reply is to be recorded.
-- Returns 'marked' (it was not stored) | 'withdrawn' | 'in flight' (too late: a worker has recorded a reply to it)

-- Notes in the lock that the message was answered, once.
local function note_answered()
  local answered = cjson.decode(redis.call('HGET', place.lock, 'answered') or '[]')
  for _, id in ipairs(answered) do
    if id == message_id then
      return
    end
  end
  answered[#answered + 1] = message_id
  redis.call('HSET', place.lock, 'answered', cjson.encode(answered))
end

local since, ids = layout_since(place, now_ms)
local layers = layers_in(ids)
if not first_seen(seen, layers, since, now_ms, dedupe_ttl_ms) then
  mark_seen(place, seen, layers, since, now_ms, dedupe_ttl_ms)
end
local tries = tries_of(place)
-- A batch that was handed back may have a reply and no attempts; the reply covers `size` messages of the head.
local begun = tries[#tries] or reply_size(place) or 0
for index, element in ipairs(redis.call('LRANGE', place.queue, 0, -1)) do
  if id_of(element) == message_id then
    if index <= begun then
      if redis.call('EXISTS', place.reply) == 1 then
        return 'in flight'
      end
      note_answered()
      return 'withdrawn'
    end
    archive(place, element, now_ms)
    redis.call('LREM', place.queue, 1, element)
    redis.call('PEXPIRE', place.completed, completed_ttl_ms)
    if begun == 0 then
      schedule_rest(place, rules, now_ms, redis.call('HGET', place.lock, 'latest'))
      if redis.call('EXISTS', place.queue) == 0 then
        redis.call('DEL', place.lock)
      end
    end
    return 'withdrawn'
  end
end
return 'marked'
