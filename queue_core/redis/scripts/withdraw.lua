-- withdraw: notes that a message was answered without the queue. Marks its id as seen, and removes it from the list if
-- an enqueue whose answer was lost had stored it.
-- Returns 'marked' (it was not stored) | 'withdrawn' | 'in flight' (too late: a worker answers it, or did)

redis.call('SET', seen, digits(now_ms), 'PX', dedupe_ttl_ms)
local tries = tries_of(place)
-- A batch that was handed back may have a reply and no attempts; the reply covers `size` messages of the head.
local begun = tries[#tries] or tonumber(redis.call('HGET', place.reply, 'size')) or 0
for index, element in ipairs(redis.call('LRANGE', place.queue, 0, -1)) do
  local readable, message = pcall(cjson.decode, element)
  if readable and type(message) == 'table' and message['id'] == message_id then
    if index <= begun then
      return 'in flight'
    end
    redis.call('LREM', place.queue, 1, element)
    redis.call('RPUSH', place.completed, '{"completedAt":' .. digits(now_ms) .. ',' .. string.sub(element, 2))
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
