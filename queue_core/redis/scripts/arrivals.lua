-- arrivals: functions that store arriving messages.

-- Writes something for a duplicate where disk or replicas must have a message before it is acknowledged. Another connection
-- may have stored the message, and WAITAOF and WAIT wait only for writes of their own connection. This write changes nothing,
-- but once disk or replicas have it, they have the message too. A full Redis accepts it.
local function confirm_duplicate(place, layers)
  allow_when_full(place.lock)
  keep_layers(place, layers)
end

-- Looks for the id of what arrives. Returns since when messages are stored in this layout, the layers of ids, and the answer
-- for an id that was seen before, nil for a new one. `known` has since and layers if they are known.
local function find_arrival(place, seen, now_ms, dedupe_ttl_ms, confirms_duplicates, known)
  local since, layers = known and known.since, known and known.layers
  if not known then
    local ids
    since, ids = layout_since(place, now_ms)
    layers = layers_in(ids)
  end
  local first_ms = first_seen(place, seen, layers, since, now_ms, dedupe_ttl_ms)
  if first_ms and confirms_duplicates == '1' then
    on_demand().confirm_duplicate(place, layers)
  end
  return since, layers, first_ms and {'duplicate', first_ms, 0}
end

-- Stores the element, or makes a dead letter of it if it came too late and there is room. A message is late if it was
-- written more than `late_ms` ago; nil means that no message is late. `is_free` is true if the conversation has no lock.
-- Returns the script's answer.
local function store_arrival(place, rules, element, now_ms, provider_ms, late_ms, dead_letters_max, is_free, group)
  local is_late = late_ms and provider_ms > 0 and now_ms - provider_ms > late_ms
  if is_late and redis.call('XLEN', place.dead) < dead_letters_max then
    redis.call('XADD', place.dead, '*', 'conversation', place.conversation, 'at', digits(now_ms), 'attempts', 0,
      'message', element,
      'reason', 'late: delivered ' .. on_demand().span(now_ms - provider_ms) .. ' after it was written')
    return {'late', now_ms, 0}
  end
  local waiting = redis.call('RPUSH', place.queue, element)
  schedule_arrival(place, rules, now_ms, waiting, is_free, group)
  return {'queued', now_ms, waiting}
end
