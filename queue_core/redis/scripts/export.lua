-- export: returns the content of keys as parcels that may be carried out any number of times, as packed words. The keys stay.
-- `names` are packed words: the names of the keys without their beginning.

require_mover(partition, mover)
local parcels = {}
for index, name in ipairs(unpacked(names)) do
  local parcel = {}
  add_content(parcel, name, partition.base .. name, now_ms)
  parcels[index] = 'copy ' .. packed(parcel)
end
return packed(parcels)
