-- delete_alias: deletes an alias if it still leads to `target`. Needed when two processes make a cycle of aliases at the same moment.
-- Returns 1 if it was deleted, else 0

if redis.call('GET', place.alias) == target then
  return redis.call('DEL', place.alias)
end
return 0
