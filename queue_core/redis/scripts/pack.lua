-- pack: takes items out of a closed partition, and puts a bundle of each into the outbox of its target (bundles.lua).
-- `items` are packed words, three for each item: target, kind, name. The kinds: 'conversation' (its keys of the kinds that
-- `kinds` lists, and its scores in sorted sets; its lease must have run out, and is ended first), 'dead' and 'damaged' (an
-- entry of the stream), 'report' (a field of the reports), and 'key'.
-- Returns {items that are finished, bundles}. It stops early after many bytes, or if a conversation has a long list: the
-- caller repeats the items that are not finished.

local BYTES_MAX = 262144
local base, take = partition.base, {}

local function take_score(bundle, index, conversation)
  local score = redis.pcall('ZSCORE', base .. index, conversation)
  if type(score) == 'string' then
    redis.call('ZREM', base .. index, conversation)
    add_command(bundle, 'ZADD', index, score, conversation)
  end
end

take.conversation = function(bundle, conversation)
  local place = place_in(partition, conversation)
  pcall(end_lease, place)
  for _, kind in ipairs(unpacked(kinds)) do
    if take_key(bundle, base, kind .. ':' .. conversation, now_ms) then
      return true
    end
  end
  take_score(bundle, 'active_queues', conversation)
  for _, backend in ipairs({place.ai, place.channel}) do
    take_score(bundle, 'backend_waiting:' .. backend, conversation)
    redis.pcall('ZREM', base .. 'backend_trials:' .. backend, conversation)
  end
end

take.dead = function(bundle, id)
  for _, entry in ipairs(redis.call('XRANGE', partition.dead, id, id)) do
    add_command(bundle, 'XADD', 'dead_letters', '*', unpack(entry[2]))
    redis.call('XDEL', partition.dead, id)
  end
end

take.damaged = function(bundle, id)
  local key = partition.damaged .. ':' .. id
  for _, entry in ipairs(redis.call('XRANGE', partition.damaged, id, id)) do
    add_content(bundle, 'damaged:carried', key, now_ms)
    add_command(bundle, 'XADD', 'damaged', '*', unpack(entry[2]))
    if redis.call('EXISTS', key) == 1 then
      add_command(bundle, 'MOVE', 'damaged:carried', 'damaged:')
    end
    redis.call('XDEL', partition.damaged, id)
    redis.call('UNLINK', key)
  end
end

take.report = function(bundle, field)
  local report, due = redis.call('HGET', partition.reports, field), redis.call('ZSCORE', partition.reports_due, field)
  redis.call('HDEL', partition.reports, field)
  redis.call('ZREM', partition.reports_due, field)
  if report and due then
    add_command(bundle, 'HSET', 'reports', field, report)
    add_command(bundle, 'ZADD', 'reports_due', due, field)
  end
end

take.key = function(bundle, name)
  return take_key(bundle, base, name, now_ms)
end

-- Returns a number greater than those of all bundles before, even after a failover that set the counter back.
local function next_number()
  local last = number_in(redis.call('HGET', base .. 'carried', 'number')) or 0
  local number = digits(math.max(last + 1, now_ms * 1000))
  redis.call('HSET', base .. 'carried', 'number', number)
  return number
end

-- Raises an error if a conversation has a lease that has not run out. Nothing was written until then.
local function require_no_lease(words)
  for index = 1, #words, 3 do
    local lock = words[index + 1] == 'conversation' and place_in(partition, words[index + 2]).lock
    local expires = lock and redis.pcall('HGET', lock, 'expiresAt')
    if type(expires) == 'string' and (number_in(expires) or 0) > now_ms then
      error('LEASED')
    end
  end
end

require_mover(partition, mover, absent)
local words, finished, bundles, bytes = unpacked(items), 0, 0, 0
require_no_lease(words)
for index = 1, #words, 3 do
  local bundle = {}
  local has_more = take[words[index + 1]](bundle, words[index + 2])
  if #bundle > 0 then
    local text = next_number() .. ' ' .. packed(bundle)
    redis.call('RPUSH', base .. 'outbox:' .. words[index], text)
    redis.call('HINCRBY', base .. 'carried', 'waiting', 1)
    bundles, bytes = bundles + 1, bytes + #text
  end
  finished = finished + (has_more and 0 or 1)
  if has_more or bytes > BYTES_MAX then
    break
  end
end
return {finished, bundles}
