-- clear: deletes keys of a closed partition that are not needed any more, except streams with dead letters or damaged keys.
-- `names` are packed words: the names of the keys without their beginning.
-- Returns the number of keys that were deleted

require_mover(partition, mover, absent)
local deleted = 0
for _, name in ipairs(unpacked(names)) do
  local key = partition.base .. name
  if name == 'wake' or type_of(key) ~= 'stream' or redis.call('XLEN', key) == 0 then
    deleted = deleted + redis.call('UNLINK', key)
  end
end
return deleted
