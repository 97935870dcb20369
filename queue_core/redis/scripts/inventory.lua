-- inventory: counts the messages that workers would answer in the conversations from rank `first` to `last` of the index,
-- without turns that a worker is answering. Writes nothing.
-- Returns {conversations, messages, messages that arrived before `before_ms`, added_at_ms of the oldest or -1, of the
--   newest or -1, replies that may have been sent}

local conversations, messages, older, oldest, newest, unsure = 0, 0, 0, nil, nil, 0

local function count(place)
  local lock = redis.call('HMGET', place.lock, 'token', 'size', 'expiresAt')
  local is_held = lock[1] and (number_in(lock[3]) or 0) > now_ms
  local held = is_held and count_in(lock[2]) or 0
  local length = redis.call('LLEN', place.queue)
  if length > held then
    conversations = conversations + 1
    messages = messages + length - held
    older = older + older_messages(place, held, before_ms)
    local _, first_at = stamped_from(place, held, length - 1, 1)
    if first_at then
      local _, last_at = stamped_from(place, length - 1, held, -1)
      oldest = math.min(oldest or first_at, first_at)
      newest = math.max(newest or last_at, last_at)
    end
    if not is_held and redis.call('HGET', place.reply, 'state') == 'unsure' then
      unsure = unsure + 1
    end
  end
end

for _, conversation in ipairs(redis.call('ZRANGE', partition.active, first, last)) do
  pcall(count, place_in(partition, conversation))  -- a damaged conversation counts as empty
end
return {conversations, messages, older, oldest or -1, newest or -1, unsure}
