-- forget_sent: deletes the notes on the replies to a conversation from the buckets `first` to `last`. If `first` is 0, also
-- deletes the reports on the user's address; `address` is written as in the JSON of reports.
-- Returns the number of notes and reports that were deleted

local deleted = 0
local function delete(key, field)
  deleted = deleted + redis.call('HDEL', key, field)
end

local function forget_in(bucket)
  local notes = redis.pcall('HGETALL', bucket)
  for index = 2, #notes, 2 do
    if string.match(notes[index], '^[^ ]*') == conversation then
      delete(bucket, notes[index - 1])
    end
  end
end

local newest, oldest = sent_slots(now_ms, ttl_ms)
for slot = newest, oldest - 1, -1 do
  local buckets = {}
  for number = first, math.min(last, SENT_BUCKETS - 1) do
    buckets[#buckets + 1] = sent_bucket(partition, slot, number)
  end
  if redis.call('EXISTS', unpack(buckets)) > 0 then
    for _, bucket in ipairs(buckets) do
      forget_in(bucket)
    end
  end
end
local reports = first == 0 and redis.pcall('HGETALL', partition.reports) or {}
for index = 2, #reports, 2 do
  if string.find(reports[index], address, 1, true) then
    delete(partition.reports, reports[index - 1])
  end
end
return deleted
