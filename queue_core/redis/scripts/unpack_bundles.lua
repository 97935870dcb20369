-- unpack_bundles: runs the commands of bundles from the partition `source`, each bundle once (bundles.lua); those without
-- a number, which export.lua makes, every time. `bundles` are packed words.
-- Returns the number of the last bundle from there that was run, 0 for none.

-- Type of the key that a command needs.
local TYPES = {RPUSH = 'list', HSET = 'hash', ZADD = 'zset', SADD = 'set', XADD = 'stream'}
-- Names of keys in damage.lua, where they are not those in Redis.
local NAMES = {msg_queue = 'queue', processing_lock = 'lock', queue_stats = 'stats', active_queues = 'active', dead_letters = 'dead'}

-- Moves a key of a wrong type aside.
local function make_room(key, name, wanted)
  local kind = type_of(key)
  if wanted and kind ~= 'none' and kind ~= wanted then
    local start, conversation = string.match(name, '^([^:]*):?(.*)$')
    local label = NAMES[start] or start
    set_aside({[label] = key, damaged = partition.damaged, conversation = conversation}, label,
      'the key has a wrong type', now_ms)
  end
end

local function run(commands)
  local id
  for _, command in ipairs(commands) do
    local words = unpacked(command)
    local name, key = words[1], partition.base .. words[2]
    if name == 'EXPIRES' then
      redis.call('PEXPIRE', key, digits(math.max(1, tonumber(words[3]) - now_ms)))
    elseif name == 'MOVE' then
      redis.call('RENAME', key, partition.base .. words[3] .. id)
    else
      make_room(key, words[2], TYPES[name])
      words[2] = key
      id = redis.call(unpack(words))
    end
  end
end

require_mover(partition, mover, absent)
local carried, field = partition.base .. 'carried', 'from ' .. source
local last = number_in(redis.call('HGET', carried, field)) or 0
for _, bundle in ipairs(unpacked(bundles)) do
  local head, commands = string.match(bundle, '^(%w+) (.*)$')
  local number = tonumber(head)
  if not number or number > last then
    run(unpacked(commands))
    last = number or last
    if number then
      redis.call('HSET', carried, field, head)
    end
  end
end
return digits(last)
