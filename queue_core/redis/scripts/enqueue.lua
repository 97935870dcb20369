-- enqueue: stores a message unless its id was seen before, and schedules its conversation.
-- With `follows`, stores nothing if the name leads to another conversation (aliases.lua). Adds `names` to the conversation's
-- list of names.
-- Returns {'queued', added_at_ms, waiting} | {'duplicate', first_added_at_ms, 0} | {'late', dead_at_ms, 0}
--   | {'moved', target}

local known = group.known
group.known = nil  -- after an error, the next calls get nothing from this one
local since, layers, duplicate = find_arrival(place, seen, now_ms, dedupe_ttl_ms, confirms_duplicates, known)
known = known or {since = since, layers = layers}
if duplicate then
  group.known = known
  return duplicate
end

local is_free = redis.call('EXISTS', place.alias, place.lock) == 0
local target = follows == '1' and not is_free and on_demand().target_of(place, now_ms, aliases_ttl_ms)
if target then
  group.known = known
  return {'moved', target}
end

local element = stamp(message, now_ms)

local late_ms = late_is_dead == '1' and dedupe_ttl_ms or nil
-- An error, such as a missing right, does not undo earlier writes of the script. So the id is marked last: if it were marked
-- and nothing were stored, the provider's next delivery would count as a duplicate and be lost.
local is_stored, answer =
  pcall(store_arrival, place, rules, element, now_ms, provider_ms, late_ms, dead_letters_max, is_free, group)
local is_done, problem = is_stored, answer
if is_stored then
  is_done, problem = pcall(mark_seen, place, seen, layers, since, now_ms, dedupe_ttl_ms)
end
if not is_done then
  redis.pcall('LREM', place.queue, -1, element)
  error(problem, 0)
end
group.known = known
if names ~= '' then
  pcall(on_demand().note_names, place, names, aliases_ttl_ms)
end
return answer
