-- archive: functions that put finished messages into the archive of their conversation.

local function finished_form(element, now_ms)
  return '{"completedAt":' .. digits(now_ms) .. ',' .. string.sub(element, 2)
end

local function archive(place, element, now_ms)
  redis.call('RPUSH', place.completed, finished_form(element, now_ms))
end

-- Archives a finished batch. Each completion renews the archive's TTL, so old messages must be removed one by one: in each
-- call up to 100 more than it adds.
local function archive_batch(place, elements, now_ms, completed_ttl_ms)
  local finished = {}
  for index, element in ipairs(elements) do
    finished[index] = finished_form(element, now_ms)
  end
  local kept = #finished > 0 and redis.call('RPUSH', place.completed, unpack(finished)) or #elements + 1
  for _ = 1, kept > #elements and #elements + 100 or 0 do
    local oldest = redis.call('LINDEX', place.completed, 0)
    if not oldest or (tonumber(string.match(oldest, '^{"completedAt":(%d+)')) or 0) >= now_ms - completed_ttl_ms then
      break
    end
    redis.call('LPOP', place.completed)
  end
  redis.call('PEXPIRE', place.completed, completed_ttl_ms)
end
