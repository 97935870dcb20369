-- mend: moves damaged keys of a partition aside, those that all its conversations share, and brings conversations at the
-- end of the index forward that wait for longer than they may.
-- Returns the number of keys that were moved aside.

-- Conversations that are looked at.
local PAGE = 100

local shared = {
  active = partition.active, wake = partition.wake, dead = partition.dead, token = partition.token,
  looks = partition.looks, damaged = partition.damaged,
}
local count = mend(shared, 'the key has a wrong type', now_ms)

local function look_at(conversation)
  local place = place_in(partition, conversation)
  pull_forward(place, rules, now_ms, lock_ttl_ms)
end

for _, conversation in ipairs(redis.call('ZREVRANGE', partition.active, 0, PAGE - 1)) do
  pcall(look_at, conversation)  -- a damaged conversation is moved aside when its turn comes
end
return count
