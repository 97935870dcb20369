-- export: makes bundles with the content of keys, which stay where they are. Repeating their
-- commands is harmless.
-- `names` are packed words: the names of the keys without their beginning.
-- Returns the bundles, as packed words

require_mover(partition, mover, absent)
local bundles = {}
for index, name in ipairs(unpacked(names)) do
  local bundle = {}
  add_content(bundle, name, partition.base .. name, now_ms)
  bundles[index] = 'copy ' .. packed(bundle)
end
return packed(bundles)
