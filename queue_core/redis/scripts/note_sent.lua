-- note_sent: notes the id that a provider gave to a reply. Earlier reports on that id are due now.
-- Returns 1 if there were any, else 0

read_layout(partition)
local slot = math.floor(now_ms / SENT_SLOT_MS)
local bucket = sent_bucket_of(partition, slot, fingerprint)
keep_sent(partition, bucket, fingerprint, note, now_ms)
if redis.call('HLEN', bucket) == 1 then
  local later_ms = math.floor(SENT_SLOT_MS / 64 * string.byte(fingerprint) / 256)  -- so that few expire at once
  redis.call('PEXPIRE', bucket, (slot + 1) * SENT_SLOT_MS - now_ms + ttl_ms + later_ms)
end

local is_reported = 0
local fields = {'o' .. fingerprint, 'f' .. fingerprint}
for index, due in ipairs(redis.call('ZMSCORE', partition.reports_due, unpack(fields))) do
  if due then
    redis.call('ZADD', partition.reports_due, digits(now_ms), fields[index])
    is_reported = 1
  end
end
return is_reported
