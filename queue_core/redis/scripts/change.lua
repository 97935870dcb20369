-- change: stores an edit or a deletion of an earlier message, unless its id was seen before. `what` is 'edit' or
-- 'deletion', `target_id` the id of the message that it changes.
--
-- Where the target is decides what becomes of the change ("is read": a worker is answering it):
-- - it waits: the change is kept beside the list (changes.lua), and a claim applies it;
-- - it is read, and `supersede_ms` is not over since the turn's oldest message: the turn is answered again, with the change;
-- - it is read, and `supersede_ms` is over or 0: the change is stored as a message of its own;
-- - its reply is recorded, or it is not in the list: an edit is stored as a message of its own, a deletion is only noted.
-- Of two edits the one that was written later counts; a deletion counts more than any edit.
-- Returns {'queued', added_at_ms, waiting} if it was stored as a message of its own | {'changed', added_at_ms, waiting} if it
--   is kept for its target or noted | {'duplicate', first_added_at_ms, 0} | {'late', dead_at_ms, 0} | {'moved', target} if
--   the name leads to another conversation (aliases.lua) and the target does not wait in this one

-- Limit on messages that are searched at the end of the list and of the archive, and the number read at a time.
local SEARCHED_MAX = 500
local CHUNK = 100

local since, layers, duplicate = find_arrival(place, seen, now_ms, dedupe_ttl_ms, confirms_duplicates)
if duplicate then
  return duplicate
end

local element = stamp(message, now_ms)
local letter = keeps_deleted_texts == '1' and 'k' or 's'
local noted = redis.call('HGET', place.change_notes, target_id) or ''
local noted_what, noted_ms, noted_id = string.match(noted, '^(%a)%a(%d*):(.*)$')

-- Searches a list from its end for an id. Returns the index, from 1, and the element; nothing if the id is not there.
local function search(list, id)
  local length = redis.call('LLEN', list)
  for last = length, math.max(length - SEARCHED_MAX, 0) + 1, -CHUNK do
    local before = math.max(last - CHUNK, 0)
    for offset, candidate in ipairs(redis.call('LRANGE', list, before, last - 1)) do
      if quick_id_of(candidate) == id then
        return before + offset, candidate
      end
    end
  end
end

local target = follows == '1' and target_of(place, now_ms, aliases_ttl_ms)
if target and not search(place.queue, target_id) then
  return {'moved', target}
end

local function note(stands_for)
  note_change(place, target_id, string.sub(what, 1, 1) .. letter .. digits(provider_ms) .. ':' .. stands_for)
end

-- Archives this change, when nothing else has to be done with it.
local function finish()
  archive(place, unread(element, 'noted', 's'), now_ms)
  redis.call('PEXPIRE', place.completed, completed_ttl_ms)
  return {'changed', now_ms, redis.call('LLEN', place.queue)}
end

-- Returns true if an earlier change counts more than this one.
local function is_outdated(is_deleted, edited_ms)
  return what == 'edit' and (is_deleted or provider_ms > 0 and provider_ms < edited_ms)
end

-- Keeps the change beside the list.
local function keep_beside(id)
  local earlier = redis.call('HGET', place.changes, id)
  local earlier_edit = earlier and #earlier > 1 and string.sub(earlier, 2)
  local edited_ms = earlier_edit and tonumber(cjson.decode(earlier_edit)['timestamp']) or 0
  if earlier and is_outdated(not earlier_edit, edited_ms) then
    return finish()
  end
  redis.call('HSET', place.changes, id, letter .. (what == 'edit' and element or ''))
  if earlier_edit then
    archive(place, unread(earlier_edit, 'noted', letter), now_ms)
    redis.call('PEXPIRE', place.completed, completed_ttl_ms)
  end
  if what == 'deletion' then
    return finish()
  end
  return {'changed', now_ms, redis.call('LLEN', place.queue)}
end

local function store_as_message()
  local late_ms = late_is_dead == '1' and dedupe_ttl_ms or nil
  local answer = store_arrival(place, rules, element, now_ms, provider_ms, late_ms, dead_letters_max)
  note(answer[1] == 'queued' and message_id or '')
  return answer
end

-- Deletes the texts of an entry in the archive.
local function erase_finished(id)
  local index, finished = search(place.completed, id)
  if finished then
    local completed_at, rest = string.match(finished, '^({"completedAt":%d+,)(.*)$')
    local erased = unread('{' .. rest, 'deleted', letter)
    redis.call('LSET', place.completed, index - 1, completed_at .. string.sub(erased, 2))
  end
end

-- Returns true while the turn may still be answered again.
local function may_start_again()
  return supersede_ms > 0 and now_ms - stamp_of(redis.call('LINDEX', place.queue, 0)) < supersede_ms
end

local function change()
  if noted_what == 'd' or noted_what and is_outdated(false, tonumber(noted_ms) or 0) then
    return finish()
  end
  local id = (noted_id or '') ~= '' and noted_id or target_id
  local index = search(place.queue, id)
  if index and index > (reply_size(place) or 0) then
    local lock = redis.call('HMGET', place.lock, 'token', 'size')
    local is_read = lock[1] and index <= tonumber(lock[2])
    if is_read and not may_start_again() then
      return store_as_message()
    elseif is_read then
      redis.call('HSET', place.lock, 'changed', 1)
    end
    return keep_beside(id)
  elseif what == 'edit' then
    return store_as_message()
  end
  note('')
  erase_finished(target_id)
  erase_finished(id)
  return finish()
end

local is_stored, answer = pcall(function()
  local answer = change()
  mark_seen(place, seen, layers, since, now_ms, dedupe_ttl_ms)
  return answer
end)
if not is_stored then
  redis.pcall('LREM', place.queue, -1, element)
  error(answer, 0)
end
if names ~= '' then
  pcall(note_names, place, names, aliases_ttl_ms)
end
return answer
