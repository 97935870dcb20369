-- mend: moves aside damaged keys that all conversations of a partition share. Conversations at the end of the index that
-- would wait too long are scheduled earlier.
-- Returns the number of keys that were moved aside.

-- Number of conversations that are checked, from the end of the index.
local PAGE = 100

local shared = {
  active = partition.active, wake = partition.wake, dead = partition.dead, token = partition.token,
  looks = partition.looks, hold = partition.hold, damaged = partition.damaged,
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
