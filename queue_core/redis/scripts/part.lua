-- part: ends an alias if it still leads to `target`: two processes made a circle of aliases at the same moment.
-- Returns 1 if it did.

if redis.call('GET', place.alias) == target then
  return redis.call('DEL', place.alias)
end
return 0
