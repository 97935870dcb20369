-- keep: adds a message that was never in the queue to the dead letters, if there is room.
-- Returns 1 if it was added, else 0

read_layout(place)
if redis.call('XLEN', place.dead) >= dead_letters_max then
  return 0
end
redis.call('XADD', place.dead, '*', 'conversation', place.conversation, 'at', digits(now_ms), 'attempts', 0,
  'message', stamp(message, now_ms), 'reason', reason)
return 1
