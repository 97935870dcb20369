-- change: stores an edit or a deletion of an earlier message, unless its id was seen before. `what` is 'edit' or
-- 'deletion', `target_id` the id of the message that it changes.
--
-- Where the target is decides what becomes of the change ("is read": a worker is answering it):
-- - it waits: the change is kept beside the list (changes.lua), and a claim applies it;
-- - it is read, and `supersede_ms` is not over since the turn's oldest message: the turn is answered again, with the change;
-- - it is read, and `supersede_ms` is over or 0: the change is stored as a message of its own;
-- - its reply is recorded, or it is not in the list: an edit is stored as a message of its own, a deletion is only noted.
-- If the target was edited before, the newest edit in the list takes its place. A deletion is carried out on the target and
-- on all its edits, wherever they are: each is deleted, taken out unread, or loses its texts in the archive.
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

-- Returns the last messages of a list that are the target or an edit of it, each as {index from 1, element, id}. For an
-- edit, only the one that it changes.
local function versions_in(list)
  local wanted = what == 'edit' and (noted_id or '') ~= '' and noted_id or target_id
  local versions, length = {}, redis.call('LLEN', list)
  for last = length, math.max(length - SEARCHED_MAX, 0) + 1, -CHUNK do
    local before = math.max(last - CHUNK, 0)
    for offset, candidate in ipairs(redis.call('LRANGE', list, before, last - 1)) do
      local id = string.find(candidate, wanted, 1, true) and quick_id_of(candidate)
      if id and (id == wanted or what == 'deletion' and edited_id(candidate) == target_id) then
        versions[#versions + 1] = {before + offset, candidate, id}
      end
    end
  end
  return versions
end

local function note(stands_for)
  note_change(place, target_id, string.sub(what, 1, 1) .. letter .. digits(provider_ms) .. ':' .. stands_for)
end

-- Archives an edit or a deletion with which nothing else has to be done.
local function archive_change(stored, kept)
  archive(place, unread(stored, 'noted', kept), now_ms)
  redis.call('PEXPIRE', place.completed, completed_ttl_ms)
end

local function finish()
  archive_change(element, 's')
  return {'changed', now_ms, redis.call('LLEN', place.queue)}
end

-- Returns true if an earlier change counts more than this one.
local function is_outdated(is_deleted, edited_ms)
  return what == 'edit' and (is_deleted or provider_ms > 0 and provider_ms < edited_ms)
end

-- Keeps the change beside the list. Returns true if an earlier change counts more.
local function keep_beside(id)
  local earlier = redis.call('HGET', place.changes, id)
  local earlier_edit = earlier and #earlier > 1 and string.sub(earlier, 2)
  local edited_ms = earlier_edit and tonumber(cjson.decode(earlier_edit)['timestamp']) or 0
  if earlier and is_outdated(not earlier_edit, edited_ms) then
    return true
  end
  redis.call('HSET', place.changes, id, letter .. (what == 'edit' and element or ''))
  if earlier_edit then
    archive_change(earlier_edit, letter)
  end
end

local function store_as_message()
  local late_ms = late_is_dead == '1' and dedupe_ttl_ms or nil
  local answer = store_arrival(place, rules, element, now_ms, provider_ms, late_ms, dead_letters_max)
  note(answer[1] == 'queued' and message_id or '')
  return answer
end

-- Returns the state of an element of the list: 'replied' if its reply is recorded, 'read' if it is read and too late to be
-- changed, else 'open'. A turn that is answered again is noted in the lock.
local function state_of(index)
  local lock = redis.call('HMGET', place.lock, 'token', 'size')
  if index <= (reply_size(place) or 0) then
    return 'replied'
  elseif not lock[1] or index > tonumber(lock[2]) then
    return 'open'
  elseif supersede_ms > 0 and now_ms - stamp_of(redis.call('LINDEX', place.queue, 0)) < supersede_ms then
    redis.call('HSET', place.lock, 'changed', 1)
    return 'open'
  end
  return 'read'
end

-- Deletes the texts of the target and its edits in the archive.
local function erase_finished()
  for _, version in ipairs(versions_in(place.completed)) do
    local completed_at, rest = string.match(version[2], '^({"completedAt":%d+,)(.*)$')
    local erased = unread('{' .. rest, 'deleted', letter)
    redis.call('LSET', place.completed, version[1] - 1, completed_at .. string.sub(erased, 2))
  end
end

-- Returns true if a message of the list or the archive already has the text of an edit that was written later.
local function has_later_text(version)
  local is_changed = version and string.find(version[2], '"changed":"edited', 1, true)
  local message = is_changed and cjson.decode(version[2]) or {}
  local is_edited = message['changed'] == 'edited' or message['changed'] == 'edited again'
  return is_edited and is_outdated(false, tonumber(message['timestamp']) or 0)
end

local function edit(versions)
  local version = versions[1]
  if has_later_text(version or versions_in(place.completed)[1]) then
    return finish()
  end
  local state = version and state_of(version[1]) or 'replied'
  if state ~= 'open' then
    return store_as_message()
  elseif keep_beside(version[3]) then
    return finish()
  end
  return {'changed', now_ms, redis.call('LLEN', place.queue)}
end

-- Messages that are read need only the note of the deletion.
local function delete(versions)
  local is_read = false
  for _, version in ipairs(versions) do
    local state = state_of(version[1])
    is_read = is_read or state == 'read'
    if state == 'open' then
      keep_beside(version[3])
    end
  end
  erase_finished()
  if is_read then
    return store_as_message()
  end
  note('')
  return finish()
end

local versions = versions_in(place.queue)
local target = follows == '1' and target_of(place, now_ms, aliases_ttl_ms)
if target and #versions == 0 then
  if what == 'deletion' then
    erase_finished()
  end
  return {'moved', target}
end

local function change()
  if noted_what == 'd' or noted_what and is_outdated(false, tonumber(noted_ms) or 0) then
    return finish()
  end
  return what == 'edit' and edit(versions) or delete(versions)
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
