-- enqueue: stores a message unless its id was seen before, and schedules its conversation.
-- With `follows`, a name that leads to another conversation (aliases.lua) stores nothing. `names` are listed with it.
-- Returns {'queued', added_at_ms, waiting} | {'duplicate', first_added_at_ms, 0} | {'late', dead_at_ms, 0}
--   | {'moved', target}

local since, ids = layout_since(place, now_ms)
local layers = layers_in(ids)
local first_ms = first_seen(place, seen, layers, since, now_ms, dedupe_ttl_ms)
if first_ms then
  if waits_for_disk == '1' then
    -- Another connection may have stored the message, and WAITAOF waits for writes of its own connection only. This
    -- write changes nothing; when it is on the disk, so is the message. A full Redis lets it pass.
    allow_when_full(place.lock)
    keep_layers(place, layers)
  end
  return {'duplicate', first_ms, 0}
end

local target = follows == '1' and target_of(place, now_ms, aliases_ttl_ms)
if target then
  return {'moved', target}
end

local element = stamp(message, now_ms)

-- Stores the element, or makes a dead letter of it if it came too late and there is room. Returns the answer.
local function store()
  local is_late = late_is_dead == '1' and provider_ms > 0 and now_ms - provider_ms > dedupe_ttl_ms
  if is_late and redis.call('XLEN', place.dead) < dead_letters_max then
    redis.call('XADD', place.dead, '*', 'conversation', place.conversation, 'at', digits(now_ms), 'attempts', 0,
      'message', element,
      'reason', 'late: delivered ' .. span(now_ms - provider_ms) .. ' after it was written')
    return {'late', now_ms, 0}
  end
  local waiting = redis.call('RPUSH', place.queue, element)
  schedule_arrival(place, rules, now_ms)
  return {'queued', now_ms, waiting}
end

-- An error, such as a missing right, does not undo what the script wrote before it. So the id is marked last: marked with
-- nothing stored, the provider's next delivery would be a duplicate of nothing.
local function store_and_mark()
  local answer = store()
  mark_seen(place, seen, layers, since, now_ms, dedupe_ttl_ms)
  return answer
end

local is_stored, answer = pcall(store_and_mark)
if not is_stored then
  redis.pcall('LREM', place.queue, -1, element)
  error(answer, 0)
end

-- Statistics come last: if they fail, all is stored nevertheless.
if answer[1] == 'queued' then
  redis.pcall('HINCRBY', place.stats, 'totalMessages', 1)
  redis.pcall('HSET', place.stats, 'lastActivity', digits(now_ms))
  redis.pcall('PEXPIRE', place.stats, stats_ttl_ms)
end
if names ~= '' then
  pcall(note_names, place, names, aliases_ttl_ms)
end
return answer
