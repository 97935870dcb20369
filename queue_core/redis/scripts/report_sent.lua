-- report_sent: finds the reply that a provider reports on. A report on an unknown id is kept for `keep_ms`, since it may
-- arrive before the answer to the call that sends. One report of each kind is kept for an id.
-- Returns {'known', note} | {'kept', ''} | {'repeated', ''} if it is kept already or its conversation has noted it
--   | {'full', ''} if there is no room to keep it

read_layout(partition)
local note, bucket = note_of_sent(partition, fingerprint, now_ms, ttl_ms)
if note then
  if kind == 'f' and redis.call('HEXISTS', bucket, failed_field(fingerprint)) == 1 then
    return {'repeated', ''}
  end
  return {'known', note}
end
local field = kind .. fingerprint
if redis.call('HEXISTS', partition.reports, field) == 1 then
  return {'repeated', ''}
end
if redis.call('ZCARD', partition.reports_due) >= reports_max then
  return {'full', ''}
end
redis.call('ZADD', partition.reports_due, digits(now_ms + keep_ms), field)
redis.call('HSET', partition.reports, field, report)
return {'kept', ''}
