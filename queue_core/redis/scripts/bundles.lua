-- bundles: functions that carry data from one partition to another, when the number of partitions is changed.
--
-- A bundle is a list of commands that write something again where it arrives. It is a text, since it travels through lists of
-- Redis: `<number> <commands>`, each command packed as `<length>:<word>…`, and the packed commands packed once more.
--
-- A script takes something out of its partition and puts the bundle into the list `outbox:<target>`, in one step. Another
-- script runs the commands at the target, and notes the number in the hash `carried`. The numbers of a partition's
-- bundles rise, and they are run in this order, so each is run once, however often it is delivered.
--
-- A command is one of Redis, with the key's name without its beginning, or one of these: EXPIRES with a time in Unix ms; and
-- MOVE, which renames a key to a name that ends in the id of the entry that was added last.

-- Limit on words in a command.
local WORDS_MAX = 200
-- Bytes of a list after which a bundle takes no more of it, and the number of elements read at a time.
local LIST_BYTES = 262144
local LIST_PAGE = 20

local function packed(words)
  local texts = {}
  for index, word in ipairs(words) do
    texts[index] = #tostring(word) .. ':' .. tostring(word)
  end
  return table.concat(texts)
end

local function unpacked(text)
  local words, position = {}, 1
  while position <= #text do
    local size, from = string.match(text, '^(%d+):()', position)
    position = from + tonumber(size)
    words[#words + 1] = string.sub(text, from, position - 1)
  end
  return words
end

-- Raises an error unless this partition is closed by the process with this token. Calls name `absent`, a key that never exists,
-- so that a cluster refuses them while it moves the partition's slot, and a script does not miss some of the keys.
local function require_mover(partition, mover, absent)
  if redis.call('HGET', partition.layout, 'mover') ~= mover or redis.call('EXISTS', absent) == 1 then
    error('MOVER')
  end
end

local function add_command(bundle, ...)
  bundle[#bundle + 1] = packed({...})
end

-- Adds commands that write values, a limited number of words in each.
local function add_values(bundle, name, key, values)
  for first = 1, #values, WORDS_MAX do
    add_command(bundle, name, key, unpack(values, first, math.min(first + WORDS_MAX - 1, #values)))
  end
end

-- Adds the commands that write the content of a key again, and its expiry. `name` is its name where it arrives.
local function add_content(bundle, name, key, now_ms)
  local kind = type_of(key)
  if kind == 'string' then
    add_command(bundle, 'SET', name, redis.call('GET', key))
  elseif kind == 'list' then
    add_values(bundle, 'RPUSH', name, redis.call('LRANGE', key, 0, -1))
  elseif kind == 'hash' then
    add_values(bundle, 'HSET', name, redis.call('HGETALL', key))
  elseif kind == 'set' then
    add_values(bundle, 'SADD', name, redis.call('SMEMBERS', key))
  elseif kind == 'zset' then
    for _, member in ipairs(redis.call('ZRANGE', key, 0, -1)) do
      add_command(bundle, 'ZADD', name, redis.call('ZSCORE', key, member), member)
    end
  elseif kind == 'stream' then
    for _, entry in ipairs(redis.call('XRANGE', key, '-', '+')) do
      add_command(bundle, 'XADD', name, entry[1], unpack(entry[2]))
    end
  end
  local left_ms = redis.call('PTTL', key)
  if left_ms > 0 then
    add_command(bundle, 'EXPIRES', name, digits(now_ms + left_ms))
  end
end

-- Takes the first elements of a list. Returns true if it has more.
local function take_page(bundle, name, key, now_ms)
  local page, bytes = {}, 0
  repeat
    local chunk = redis.call('LRANGE', key, #page, #page + LIST_PAGE - 1)
    for _, element in ipairs(chunk) do
      page[#page + 1] = element
      bytes = bytes + #element
    end
  until #chunk < LIST_PAGE or bytes >= LIST_BYTES
  add_values(bundle, 'RPUSH', name, page)
  local left_ms = redis.call('PTTL', key)
  if left_ms > 0 then
    add_command(bundle, 'EXPIRES', name, digits(now_ms + left_ms))
  end
  redis.call('LTRIM', key, #page, -1)
  return redis.call('EXISTS', key) == 1
end

-- Takes a key; of a long list only a part. Returns true if there is more.
local function take_key(bundle, base, name, now_ms)
  if type_of(base .. name) == 'list' then
    return take_page(bundle, name, base .. name, now_ms)
  end
  add_content(bundle, name, base .. name, now_ms)
  redis.call('UNLINK', base .. name)
end
