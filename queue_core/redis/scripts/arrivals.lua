-- arrivals: functions that store what arrived.

-- Answers for a duplicate when messages are acknowledged only on disk. Another connection may have stored the message, and
-- WAITAOF waits for writes of its own connection only. This write changes nothing; when it is on the disk, so is the
-- message. A full Redis lets it pass.
local function confirm_duplicate(place, layers)
  allow_when_full(place.lock)
  keep_layers(place, layers)
end

-- Stores the element, or makes a dead letter of it if it came too late and there is room. `late_ms` is the time after
-- which a message is late, nil if none is. Returns the script's answer.
local function store_arrival(place, rules, element, now_ms, provider_ms, late_ms, dead_letters_max)
  local is_late = late_ms and provider_ms > 0 and now_ms - provider_ms > late_ms
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

-- Counts a message that was queued. Statistics come last: if they fail, all is stored nevertheless.
local function count_arrival(place, answer, now_ms, stats_ttl_ms)
  if answer[1] == 'queued' then
    redis.pcall('HINCRBY', place.stats, 'totalMessages', 1)
    redis.pcall('HSET', place.stats, 'lastActivity', digits(now_ms))
    redis.pcall('PEXPIRE', place.stats, stats_ttl_ms)
  end
end
