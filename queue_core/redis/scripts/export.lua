-- export: makes parcels with the content of keys, which stay; they may be carried out any number of times.
-- `names` are packed words: the names of the keys without their beginning.
-- Returns the parcels, as packed words

require_mover(partition, mover)
local parcels = {}
for index, name in ipairs(unpacked(names)) do
  local parcel = {}
  add_content(parcel, name, partition.base .. name, now_ms)
  parcels[index] = 'copy ' .. packed(parcel)
end
return packed(parcels)
