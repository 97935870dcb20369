-- note_undelivered: notes in a conversation, once, that a reply did not reach the user. `element` is the note; its beginning,
-- `head`, names the reply, and the time is inserted after it. With a `letter`, also makes a dead letter if there is room,
-- unless a note with the same `turn` has made one; the notes carry `turn` from then on.
-- Returns 'noted' | 'dead letter' | 'full' (noted, but there is no room for the dead letter) | 'known'

read_layout(place)
local has_letter = false
for _, known in ipairs(redis.call('LRANGE', place.undelivered, 0, -1)) do
  if string.sub(known, 1, #head) == head then
    return 'known'
  end
  has_letter = has_letter or turn ~= '' and string.find(known, turn, 1, true) ~= nil
end
local answer = 'noted'
if letter ~= '' and not has_letter then
  answer = redis.call('XLEN', place.dead) < dead_letters_max and 'dead letter' or 'full'
end
local mark = (has_letter or answer == 'dead letter') and turn or ''
redis.call('RPUSH', place.undelivered,
  head .. mark .. '"notedAtMs":' .. digits(now_ms) .. ',' .. string.sub(element, #head + 1))
redis.call('LTRIM', place.undelivered, -undelivered_max, -1)
redis.call('PEXPIRE', place.undelivered, ttl_ms)
if answer == 'dead letter' then
  redis.call('XADD', place.dead, '*', 'conversation', place.conversation, 'reason', reason, 'at', digits(now_ms),
    'attempts', 1, 'message', stamp(letter, now_ms), 'reply', reply)
end
return answer
