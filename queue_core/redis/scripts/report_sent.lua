-- report_sent: finds the reply that a provider reports on. A report on an id that is not known is kept for `keep_ms`: the
-- provider may be faster than the answer to the call that sends. A report of one kind on one id is kept once.
-- Returns {'known', note} | {'kept', ''} | {'repeated', ''}: it is kept already, or its conversation has it | {'full', ''}: there is no room to keep it

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
