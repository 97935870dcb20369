-- match_reports: returns reports that are due: their id has become known, or the time for which they are kept is over.
-- The report of a failure whose reply is known stays until settle_report deletes it: the caller may die before it notes the
-- failure.
-- Returns {reports that are still kept, {report, note}, …}; the note of an id that is not known is ''

read_layout(partition)
local found = {}
for _, field in ipairs(redis.call('ZRANGEBYSCORE', partition.reports_due, '-inf', digits(now_ms), 'LIMIT', 0, limit)) do
  local report = redis.call('HGET', partition.reports, field)
  local note = report and note_of_sent(partition, string.sub(field, 2), now_ms, ttl_ms)
  if note and string.sub(field, 1, 1) == 'f' then
    redis.call('ZADD', partition.reports_due, digits(now_ms + again_ms), field)
  else
    redis.call('ZREM', partition.reports_due, field)
    redis.call('HDEL', partition.reports, field)
  end
  if report then
    found[#found + 1] = {report, note or ''}
  end
end
return {redis.call('ZCARD', partition.reports_due), unpack(found)}
