-- withdraw: notes that a message was answered without the queue. Marks its id as seen, and takes it out of the queue if
-- an enqueue whose answer was lost had stored it. A message in flight is noted in the lock: it is taken out when the
-- attempt ends, or when its reply is to be recorded.
-- The queue is searched from its tail until messages are older than the id. A call looks at ELEMENTS_MAX messages, and skips
-- the `skipped` newest, at which earlier calls have looked.
-- Returns 'marked' (it is not in the queue) | 'withdrawn' | 'in flight' (too late: a worker has recorded a reply to it)
--   | a number if the search is not finished: pass it as `skipped` of the next call

local ELEMENTS_MAX = 500
local CHUNK = 100

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
local first_ms = first_seen(place, seen, layers, since, now_ms, dedupe_ttl_ms)
if not first_ms then
  mark_seen(place, seen, layers, since, now_ms, dedupe_ttl_ms)
end

-- Searches for the message. Returns its index from 1 and the element; or the number of messages looked at, if the search
-- is not finished; or nothing.
local function search()
  local length = redis.call('LLEN', place.queue)
  for last = length - skipped, length - skipped - ELEMENTS_MAX + 1, -CHUNK do
    local before = math.max(last - CHUNK, 0)
    local is_older = true
    for offset, element in ipairs(last > 0 and redis.call('LRANGE', place.queue, before, last - 1) or {}) do
      if string.find(element, quoted_id, 1, true) and id_of(element) == message_id then
        return before + offset, element
      end
      is_older = is_older and stamp_of(element) < (first_ms or now_ms)
    end
    if is_older then
      return
    end
  end
  return skipped + ELEMENTS_MAX
end

local index, element = search()
if not index then
  return 'marked'
elseif not element then
  return index
end

local tries = tries_of(place)
-- A batch that was handed back may have a reply and no attempts; the reply covers `size` messages of the head.
local begun = tries[#tries] or reply_size(place) or 0
if index <= begun then
  if redis.call('EXISTS', place.reply) == 1 then
    return 'in flight'
  end
  note_answered()
  return 'withdrawn'
end
archive(place, release_changes(place, {element}, now_ms)[1], now_ms)
redis.call('LREM', place.queue, 2 * index > redis.call('LLEN', place.queue) and -1 or 1, element)
redis.call('PEXPIRE', place.completed, completed_ttl_ms)
count_gone(place, 1, now_ms)
if begun == 0 then
  schedule_rest(place, rules, now_ms, redis.call('HGET', place.lock, 'latest'))
  if redis.call('EXISTS', place.queue) == 0 then
    redis.call('DEL', place.lock)
  end
end
return 'withdrawn'
