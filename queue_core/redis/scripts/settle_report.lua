-- settle_report: deletes the report of a failure that its conversation has noted. Further reports of it count as repeated.
-- Returns 1 if the id is still known, else 0

read_layout(partition)
local field = 'f' .. fingerprint
redis.call('ZREM', partition.reports_due, field)
redis.call('HDEL', partition.reports, field)
local note, bucket = note_of_sent(partition, fingerprint, now_ms, ttl_ms)
if not note then
  return 0
end
redis.call('HSET', bucket, failed_field(fingerprint), string.match(note, '^[^ ]*'))
return 1
