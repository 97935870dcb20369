-- enqueue: stores a message unless its id was seen before, and schedules its conversation.
-- With `follows`, stores nothing if the name leads to another conversation (aliases.lua). Adds `names` to the conversation's
-- list of names.
-- Returns {'queued', added_at_ms, waiting} | {'duplicate', first_added_at_ms, 0} | {'late', dead_at_ms, 0}
--   | {'moved', target}

local since, layers, duplicate = find_arrival(place, seen, now_ms, dedupe_ttl_ms, confirms_duplicates)
if duplicate then
  return duplicate
end

local target = follows == '1' and rare().target_of(place, now_ms, aliases_ttl_ms)
if target then
  return {'moved', target}
end

local element = stamp(message, now_ms)

-- An error, such as a missing right, does not undo earlier writes of the script. So the id is marked last: if it were marked
-- and nothing were stored, the provider's next delivery would count as a duplicate and be lost.
local function store_and_mark()
  local late_ms = late_is_dead == '1' and dedupe_ttl_ms or nil
  local answer = store_arrival(place, rules, element, now_ms, provider_ms, late_ms, dead_letters_max)
  mark_seen(place, seen, layers, since, now_ms, dedupe_ttl_ms)
  return answer
end

local is_stored, answer = pcall(store_and_mark)
if not is_stored then
  redis.pcall('LREM', place.queue, -1, element)
  error(answer, 0)
end
count_arrival(place, answer, now_ms, stats_ttl_ms)
if names ~= '' then
  pcall(rare().note_names, place, names, aliases_ttl_ms)
end
return answer
