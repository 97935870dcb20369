-- note_undelivered: notes in a conversation, once, that a reply did not reach the user. `element` is the note; its beginning,
-- `head`, names the reply, and the time is inserted after it. With a `letter`, also makes a dead letter if there is room.
-- Returns 'noted' | 'dead letter' | 'full' (noted, but there is no room for the dead letter) | 'known'

read_layout(place)
for _, known in ipairs(redis.call('LRANGE', place.undelivered, 0, -1)) do
  if string.sub(known, 1, #head) == head then
    return 'known'
  end
end
local answer = 'noted'
if letter ~= '' then
  answer = redis.call('XLEN', place.dead) < dead_letters_max and 'dead letter' or 'full'
end
redis.call('RPUSH', place.undelivered, head .. '"notedAtMs":' .. digits(now_ms) .. ',' .. string.sub(element, #head + 1))
redis.call('LTRIM', place.undelivered, -undelivered_max, -1)
redis.call('PEXPIRE', place.undelivered, ttl_ms)
if answer == 'dead letter' then
  redis.call('XADD', place.dead, '*', 'conversation', place.conversation, 'reason', reason, 'at', digits(now_ms),
    'attempts', 1, 'message', stamp(letter, now_ms), 'reply', reply)
end
return answer
