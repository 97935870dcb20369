-- mend: moves damaged keys of a partition aside, those that all its conversations share.
-- Returns the number of keys that were moved aside.

local shared = {
  active = partition.active, wake = partition.wake, dead = partition.dead, token = partition.token,
  looks = partition.looks, damaged = partition.damaged,
}
return mend(shared, 'the key has a wrong type', now_ms)
