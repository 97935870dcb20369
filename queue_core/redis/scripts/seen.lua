-- seen: functions about the ids of messages that were stored, or answered without the queue.
--
-- An id is kept as a fingerprint of 16 bytes, a field of a hash that is small enough for Redis to pack it densely:
-- `<ids>:<begun>:<bits>:<bucket>`. The bucket is the number in the first `bits` bits of the fingerprint; the field is the
-- fingerprint without the bytes that the bucket already gives. The value is the time of the id in steps since `begun`.
--
-- `begun` names a generation, which takes in ids for `length_ms`, a third of the time for which they are remembered. Its
-- buckets expire together. So an id is remembered for that time and at most a third longer, and is searched for in four
-- generations. When a bucket is full, its generation adds a layer: further buckets, with more bits.
-- The field `ids` of the layout lists the layers, the newest last, as in "1790000000000 43200000 8;": begun, length_ms,
-- bits.

-- Limit on ids in a bucket. Redis packs a hash of up to hash-max-listpack-entries fields, by default 512.
local BUCKET_IDS_MAX = 96
-- Expected ids in each bucket at the end of a generation, if as many come as in the generation before.
local BUCKET_IDS = 48
-- Bits of a layer: the least, the most, and the number added when a layer is full.
local BITS_MIN = 6
local BITS_MAX = 30
local BITS_MORE = 3
-- Buckets that are counted to estimate how many ids a layer has.
local SAMPLES = 8
-- Number of steps in a generation. Redis keeps a smaller number in one byte.
local STEPS = 128
-- Share of a generation's length over which the expiry of its buckets is spread, so that few expire at once.
local SPREAD = 1 / 64
-- Time for which processes of layout 1 may work beside this one, so that keys of their layout are written too.
local ROLLING_MS = 24 * 3600 * 1000

local function layers_in(list)
  local layers = {}
  for begun, length, bits in string.gmatch(list or '', '(%d+) (%d+) (%d+);') do
    layers[#layers + 1] = {begun = begun, begun_ms = tonumber(begun), length_ms = tonumber(length), bits = tonumber(bits)}
  end
  return layers
end

local function keep_layers(place, layers)
  local list = ''
  for _, layer in ipairs(layers) do
    list = list .. layer.begun .. ' ' .. digits(layer.length_ms) .. ' ' .. layer.bits .. ';'
  end
  redis.call('HSET', place.layout, 'ids', list)
end

-- Returns the first four bytes of the fingerprint as a number.
local function prefix_of(seen)
  local first, second, third, fourth = string.byte(seen.fingerprint, 1, 4)
  return ((first * 256 + second) * 256 + third) * 256 + fourth
end

local function bucket_of(seen, layer, prefix)
  layer.buckets = layer.buckets or seen.ids .. ':' .. layer.begun .. ':' .. layer.bits .. ':'
  return layer.buckets .. digits(math.floor(prefix / 2 ^ (32 - layer.bits)))
end

local function field_of(seen, layer)
  return string.sub(seen.fingerprint, math.floor(layer.bits / 8) + 1)
end

local function step_ms_of(layer)
  return math.ceil(layer.length_ms / STEPS)
end

-- Returns the time of the id in steps if a layer has it, else false. A bucket of a wrong type is moved aside.
local function steps_in(place, seen, layer, prefix, now_ms)
  local bucket, field = bucket_of(seen, layer, prefix), field_of(seen, layer)
  layer.bucket, layer.field = bucket, field
  local steps = redis.pcall('HGET', bucket, field)
  if type(steps) ~= 'table' then
    return steps
  end
  local problem = tostring(steps.err)
  if not on_demand().is_about_data(problem) then
    error(problem, 0)
  end
  on_demand().set_aside({bucket = bucket, damaged = place.damaged}, 'bucket', problem, now_ms)
  return false
end

-- Returns the time at which the id first came, rounded down to a step; nil for a new id. `since` is the time since which
-- messages are stored in this layout.
local function first_seen(place, seen, layers, since, now_ms, dedupe_ttl_ms)
  local prefix = prefix_of(seen)
  for _, layer in ipairs(layers) do
    local steps = steps_in(place, seen, layer, prefix, now_ms)
    if steps then
      return layer.begun_ms + steps * step_ms_of(layer)
    end
  end
  if since > 0 and now_ms < since + ROLLING_MS + dedupe_ttl_ms then
    return number_in(redis.call('GET', seen.old))
  end
end

-- Returns the time at which the ids of a layer may be forgotten, since its last id has been remembered for long enough.
local function end_of(layer)
  return layer.begun_ms + 4 * layer.length_ms
end

-- Adds a layer to the list, and removes layers whose buckets have expired. Returns the new layer.
local function add_layer(place, layers, layer, now_ms)
  for index = #layers, 1, -1 do
    local old = layers[index]
    if now_ms > end_of(old) + math.ceil(old.length_ms * SPREAD) then
      table.remove(layers, index)
    end
  end
  layers[#layers + 1] = layer
  local is_kept, problem = pcall(keep_layers, place, layers)
  if not is_kept then
    layers[#layers] = nil  -- another call of the group would put ids where none is looked for
    error(problem, 0)
  end
  return layer
end

-- Returns the bits for a generation with as many ids as the last one, whose ids it estimates from some buckets.
local function bits_as_before(seen, layers, prefix)
  local ids, bits = 0, BITS_MIN
  for _, layer in ipairs(layers) do
    if layer.begun == layers[#layers].begun then
      for sample = 0, SAMPLES - 1 do
        local elsewhere = (prefix + sample * 2 ^ 32 / SAMPLES) % 2 ^ 32
        ids = ids + redis.call('HLEN', bucket_of(seen, layer, elsewhere)) * 2 ^ layer.bits / SAMPLES
      end
    end
  end
  while bits < BITS_MAX and ids / 2 ^ bits > BUCKET_IDS do
    bits = bits + 1
  end
  return bits
end

-- Returns the layer that takes in ids now: the newest whose generation is under way and remembers ids for long enough. Begins
-- another generation if there is none, since the last one is over, the clock was set back, or `dedupe_ttl_ms` was raised.
local function layer_now(place, seen, layers, now_ms, dedupe_ttl_ms, prefix)
  local length_ms = math.ceil(dedupe_ttl_ms / 3)
  for index = #layers, 1, -1 do
    local layer = layers[index]
    local is_under_way = layer.begun_ms <= now_ms and now_ms < layer.begun_ms + layer.length_ms
    if is_under_way and layer.length_ms >= length_ms then
      return layer
    end
  end
  local begun = {begun = digits(now_ms), begun_ms = now_ms, length_ms = length_ms}
  begun.bits = on_demand().bits_as_before(seen, layers, prefix)
  return on_demand().add_layer(place, layers, begun, now_ms)
end

-- Sets the expiry of a new bucket, and adds a layer when a bucket is full. `ids` is the number of ids in it.
local function look_after_bucket(place, layers, layer, bucket, prefix, now_ms, ids)
  if ids == 1 then
    local later_ms = math.floor(layer.length_ms * SPREAD * prefix / 2 ^ 32)
    redis.call('PEXPIRE', bucket, end_of(layer) - now_ms + later_ms)
  else
    local more = math.min(layer.bits + BITS_MORE, BITS_MAX)
    local further = {begun = layer.begun, begun_ms = layer.begun_ms, length_ms = layer.length_ms, bits = more}
    on_demand().add_layer(place, layers, further, now_ms)
  end
end

-- Notes that the id came now. Only steps before the note may raise errors, so that after an error the id is not noted.
local function mark_seen(place, seen, layers, since, now_ms, dedupe_ttl_ms)
  local prefix = prefix_of(seen)
  local layer = layer_now(place, seen, layers, now_ms, dedupe_ttl_ms, prefix)
  local bucket = layer.bucket or bucket_of(seen, layer, prefix)
  redis.call('HSET', bucket, layer.field or field_of(seen, layer), math.floor((now_ms - layer.begun_ms) / step_ms_of(layer)))
  local ids = redis.pcall('HLEN', bucket)
  if ids == 1 or type(ids) == 'number' and ids >= BUCKET_IDS_MAX and layer.bits < BITS_MAX then
    pcall(on_demand().look_after_bucket, place, layers, layer, bucket, prefix, now_ms, ids)
  end
  if since > 0 and now_ms < since + ROLLING_MS then
    redis.pcall('SET', seen.old, digits(now_ms), 'PX', dedupe_ttl_ms)
  end
end
