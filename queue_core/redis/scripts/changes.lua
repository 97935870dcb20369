-- changes: functions about edits and deletions of earlier messages, which a conversation keeps beside its list.
--
-- The hash `changes` holds changes of messages in the list, by message id. A value is a letter for a deletion, or a letter
-- and the element of the edit. The letter is 'k' if deleted and replaced texts are kept for the operator, 's' if not.
-- A change is applied while no worker has the message: an edited message gets the content of its edit, a deleted message
-- goes to the archive. While a worker has it, `changed` in the lock says that its reply is out of date.
--
-- The hash `change_notes` holds notes on messages that were not in the list when they were changed, or could not be changed
-- any more, such as 'ek1790000000000:ID': 'e' for an edit or 'd' for a deletion, the letter, the provider's time, and the id
-- of the edit or deletion that is in the list instead, '' if there is none. If such a message turns up in the list later
-- (it came after its change, its attempt failed, or it was requeued), it is taken out unread. A deletion is always noted, and
-- counts for all edits of its message too. Notes expire.

-- Limit on notes of a conversation: beyond it, the earlier ones are deleted.
local NOTES_MAX = 200
-- Lifetime of the notes. A message that comes later than that after its change is answered as it is.
local NOTES_TTL_MS = 2 * 24 * 3600 * 1000
-- Limit on looks at the head of the list in one step; each takes messages out, so that others move up.
local ROUNDS = 20

local function has_changes(place)
  return redis.call('EXISTS', place.changes, place.change_notes) > 0
end

-- Returns the id of an element. Quicker than `id_of` for elements that the queue wrote.
local function quick_id_of(element)
  return string.match(element, '^{[%w":,]-"addedAt":%d+,"id":"([^"\\]*)",') or id_of(element)
end

-- Writes a string as JSON, as it stands in the elements that Python makes.
local function quoted(words)
  return (string.gsub(cjson.encode(words), '\\/', '/'))
end

local function note_change(place, id, note)
  if redis.call('HLEN', place.change_notes) >= NOTES_MAX then
    redis.call('DEL', place.change_notes)
  end
  redis.call('HSET', place.change_notes, id, note)
  redis.call('PEXPIRE', place.change_notes, NOTES_TTL_MS)
end

-- Returns the id of the message that an element edits; nil if it is not an edit.
local function edited_id(element)
  if string.find(element, '"change":{', 1, true) then
    local is_read, message = pcall(cjson.decode, element)
    local data = is_read and type(message) == 'table' and message['messageData']
    local change = type(data) == 'table' and data['change']
    return type(change) == 'table' and change['what'] == 'edit' and change['id'] or nil
  end
end

-- Returns the note on a message. For an edit, a deletion of the edited message comes before its own note.
local function note_on(place, element, id)
  local target_id = edited_id(element)
  local note = type(target_id) == 'string' and redis.call('HGET', place.change_notes, target_id)
  return note and string.sub(note, 1, 1) == 'd' and note or redis.call('HGET', place.change_notes, id)
end

-- Returns the letter of a note if it notes a deletion.
local function letter_of_deletion(note)
  return string.match(note or '', '^d(%a)')
end

-- Returns an element without its texts, unless they are kept (letter 'k'). `how` says why no worker reads it.
local function unread(element, how, letter)
  if letter == 'k' then
    return string.sub(element, 1, -2) .. ',"changed":"' .. how .. '"}'
  end
  local message = cjson.decode(element)
  local names = '{"addedAt":' .. digits(stamp_of(element)) .. ','
  for _, name in ipairs({'id', 'instanceName', 'userPhone'}) do
    names = names .. '"' .. name .. '":' .. quoted(message[name]) .. ','
  end
  return names .. '"message":"","timestamp":' .. digits(tonumber(message['timestamp']) or 0)
    .. ',"changed":"' .. how .. '"}'
end

-- Returns the element of a message with the content of its edit. Its id and its times stay.
local function edited(element, edit, letter)
  local message = cjson.decode(element)
  local data = message['messageData']
  local is_edit = type(data) == 'table' and type(data['change']) == 'table' and message['changed'] ~= 'edited'
  local earlier = letter == 'k' and '"earlier":' .. quoted(message['message']) .. ',' or ''
  local written_at = tonumber(message['writtenAt'] or message['timestamp']) or 0
  return '{"addedAt":' .. digits(stamp_of(element)) .. ',"id":' .. quoted(message['id']) .. ',"changed":"'
    .. (is_edit and 'edited again' or 'edited') .. '","writtenAt":' .. digits(written_at) .. ',' .. earlier
    .. string.match(edit, '^{"addedAt":%d+,"id":"[^"]*",(.*)$')
end

-- Takes messages out of the list and out of the sizes in `tries`. `is_gone[n]` is true if the n-th of the first `count`
-- messages goes. Returns the remaining tries.
local function take_out(place, count, is_gone)
  local tries, gone_before, rest = tries_of(place), {[0] = 0}, {}
  for index = 1, count do
    gone_before[index] = gone_before[index - 1] + (is_gone[index] and 1 or 0)
    if is_gone[index] then
      redis.call('LSET', place.queue, index - 1, '')
    end
  end
  redis.call('LREM', place.queue, 0, '')
  for _, tried in ipairs(tries) do
    local gone = gone_before[tried] or gone_before[count]
    if tried > gone then
      rest[#rest + 1] = tried - gone
    end
  end
  if #rest > 0 then
    redis.call('HSET', place.lock, 'tries', table.concat(rest, ','))
  else
    redis.call('HDEL', place.lock, 'tries', 'given_up')
  end
  return rest
end

-- Puts an edit at the end of the list as a message of its own, when its target cannot be changed any more. If the target was
-- deleted, the edit goes to the archive.
local function push_edit(place, id, edit, now_ms)
  local letter = letter_of_deletion(note_on(place, edit, id))
  if letter then
    return archive(place, unread(edit, 'noted', letter), now_ms)
  end
  local message = cjson.decode(edit)
  redis.call('RPUSH', place.queue, stamp(unstamped(edit), now_ms))
  note_change(place, id, 'es' .. digits(tonumber(message['timestamp']) or 0) .. ':' .. message['id'])
end

-- Removes the changes of messages that leave the list, and returns the elements for the archive: an edit becomes a message
-- of its own, and a deleted message loses its texts.
local function release_changes(place, elements, now_ms)
  if not has_changes(place) then
    return elements
  end
  local released = {}
  for index, element in ipairs(elements) do
    local id = quick_id_of(element) or ''
    local change = redis.call('HGET', place.changes, id)
    local letter = change and #change == 1 and change or letter_of_deletion(note_on(place, element, id))
    redis.call('HDEL', place.changes, id)
    if change and #change > 1 then
      push_edit(place, id, string.sub(change, 2), now_ms)
    end
    released[index] = letter and unread(element, 'deleted', letter) or element
  end
  return released
end

-- Finishes messages at the head that were answered without the queue, and takes them out of the sizes in `tries`.
-- `answered` is the field of the lock. Returns the remaining tries.
local function finish_answered(place, answered, now_ms, completed_ttl_ms)
  local is_answered, tries, is_gone, gone = {}, tries_of(place), {}, {}
  local elements = redis.call('LRANGE', place.queue, 0, (tries[#tries] or 0) - 1)
  for _, id in ipairs(cjson.decode(answered)) do
    is_answered[id] = true
  end
  for index, element in ipairs(#tries > 0 and elements or {}) do
    if is_answered[id_of(element) or ''] then
      is_gone[index] = true
      gone[#gone + 1] = element
    end
  end
  redis.call('HDEL', place.lock, 'answered')
  local rest = take_out(place, #tries > 0 and #elements or 0, is_gone)
  for _, element in ipairs(release_changes(place, gone, now_ms)) do
    archive(place, element, now_ms)
  end
  redis.call('PEXPIRE', place.completed, completed_ttl_ms)
  count_gone(place, #gone, now_ms)
  return rest
end

-- Applies changes to up to `limit` messages after the first `first` ones. Returns the number of messages that left the list.
local function apply_to_page(place, first, limit, now_ms)
  local elements = redis.call('LRANGE', place.queue, first, first + limit - 1)
  local is_gone, count = {}, 0
  for index, element in ipairs(elements) do
    local id = quick_id_of(element) or ''
    local change, note = redis.call('HGET', place.changes, id), note_on(place, element, id)
    local what, kept, stands_for = string.match(note or '', '^(%a)(%a)%d*:(.*)$')
    local letter, edit = string.match(change or '', '^(%a)(.*)$')
    edit = edit ~= '' and edit
    if edit then
      archive(place, unread(edit, 'noted', 's'), now_ms)
    end
    if edit and what ~= 'd' then
      redis.call('LSET', place.queue, first + index - 1, edited(element, edit, letter))
    elseif change or note then
      if (edit or not change) and what == 'd' and stands_for ~= '' then
        redis.call('HSETNX', place.changes, stands_for, kept)  -- the deletion in the list is not read either
      end
      is_gone[first + index], count = true, count + 1
      local how = (change or what == 'd') and 'deleted' or 'noted'
      archive(place, unread(element, how, change and letter or kept or 's'), now_ms)
    end
    if change then
      redis.call('HDEL', place.changes, id)
    end
  end
  if count > 0 then
    take_out(place, first + #elements, is_gone)
    count_gone(place, count, now_ms)
  end
  return count
end

-- Applies the changes to the first `limit` messages that no recorded reply answers; no worker may have them. Returns true
-- when no change is left among them. Changes of messages that are not in the list any more, since an older release or
-- damage took them out, become messages of their own.
local function apply_changes(place, limit, now_ms, completed_ttl_ms)
  local first, gone = reply_size(place) or 0, 0
  for _ = 1, ROUNDS do
    gone = apply_to_page(place, first, limit, now_ms)
    if gone == 0 then
      break
    end
  end
  redis.call('HDEL', place.lock, 'changed')
  if redis.call('LLEN', place.queue) <= first + limit then
    local left = redis.call('HGETALL', place.changes)
    for index = 1, #left, 2 do
      if #left[index + 1] > 1 then
        push_edit(place, left[index], string.sub(left[index + 1], 2), now_ms)
      end
    end
    redis.call('DEL', place.changes)
  end
  redis.call('PEXPIRE', place.completed, completed_ttl_ms)
  return gone == 0
end
