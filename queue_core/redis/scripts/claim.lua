-- claim: leases conversations that are due, oldest due time first, and hands over their waiting messages.
-- A conversation whose lease ran out is due again, so a crashed worker needs nobody to clean up; the attempt counts.
-- A claim repeated with the same claim_id, because its answer was lost, is answered with the same leases, renewed.
-- `only` is a conversation: no other is leased, and next_due_ms is that conversation's; '' allows all.
-- Returns {now_ms, next_due_ms or -1, given_up, batches}; a batch is
--   {conversation, token, attempt, waiting, due_ms, reply or false, send_state or false, elements}

local REPLY_BYTES_MAX = 16 * 1024 * 1024

local given_up = 0

-- Returns a token greater than all before, even after a failover that set the counter back.
local function next_token()
  local token = math.max(tonumber(redis.call('GET', partition.token) or 0) + 1, now_ms * 1000)
  redis.call('SET', partition.token, digits(token))
  return token
end

-- An element without a stamp is not a message of this queue; it never expires.
local function is_expired(element)
  local at = stamp_of(element)
  return at > 0 and at < now_ms - queue_ttl_ms
end

local function head_is_expired(place)
  local head = redis.call('LINDEX', place.queue, 0)
  return head and is_expired(head)
end

-- Counts expired messages at the head, a batch at most; if more have expired, the conversation is due again at once.
local function expired_at_head(place)
  local count = 0
  if head_is_expired(place) then
    for _, element in ipairs(redis.call('LRANGE', place.queue, 0, max_batch - 1)) do
      if not is_expired(element) then
        break
      end
      count = count + 1
    end
  end
  return count
end

-- Makes dead letters of messages at the head that expired or had all their attempts. Returns the remaining tries.
local function settle_head(place)
  local tries = tries_of(place)
  local count, reason = 0, nil
  if #tries >= max_attempts then
    -- A recorded reply answers its whole batch; without one only messages that had all attempts are given up.
    count = tonumber(redis.call('HGET', place.reply, 'size')) or tries[1]
    reason = 'given up after ' .. #tries .. ' attempts: the last lease ran out (worker died or stalled)'
    local error = redis.call('HGET', place.lock, 'error')
    if error then
      reason = reason .. '; error before that: ' .. error
    end
  elseif #tries == 0 and redis.call('EXISTS', place.reply) == 0 then
    count = expired_at_head(place)
    reason = 'expired: no worker took it for over ' .. math.floor(queue_ttl_ms / 1000) .. ' s'
  end
  if count > 0 then
    tries = give_up(place, count, reason, now_ms)
    given_up = given_up + count
  end
  return tries
end

local function lease(place, tries, due)
  local size = tonumber(redis.call('HGET', place.reply, 'size')) or math.min(redis.call('LLEN', place.queue), max_batch)
  tries[#tries + 1] = size
  redis.call('HSET', place.lock, 'processorId', processor_id, 'claimId', claim_id, 'token', digits(next_token()),
    'lockedAt', digits(now_ms), 'expiresAt', digits(now_ms + lock_ttl_ms), 'dueAt', digits(due), 'size', size,
    'tries', table.concat(tries, ','))
  redis.call('ZADD', partition.active, digits(now_ms + lock_ttl_ms), place.conversation)
end

-- Leases a conversation, unless nothing in it is due once its head is settled. Returns true when it is leased.
local function lease_if_due(place, due)
  local tries = settle_head(place)
  local rest_due = due_at(place, rules, now_ms)
  if not rest_due then
    redis.call('ZREM', partition.active, place.conversation)
    redis.call('DEL', place.lock, place.reply)
    return false
  end
  if #tries == 0 and redis.call('EXISTS', place.reply) == 0 then
    local expired = head_is_expired(place)
    if expired or rest_due > now_ms then
      schedule(place, expired and now_ms or rest_due)
      return false
    end
  end
  lease(place, tries, due)
  return true
end

-- Returns the batch that a held lock describes, and the size of its messages in bytes.
local function batch_of(place)
  local lock = redis.call('HMGET', place.lock, 'token', 'tries', 'dueAt', 'size')
  local reply = redis.call('HMGET', place.reply, 'text', 'state')
  local _, commas = string.gsub(lock[2], ',', '')
  local elements, bytes = redis.call('LRANGE', place.queue, 0, tonumber(lock[4]) - 1), 0
  for _, element in ipairs(elements) do
    bytes = bytes + #element
  end
  local waiting = redis.call('LLEN', place.queue)
  return {place.conversation, lock[1], commas + 1, waiting, lock[3], reply[1], reply[2], elements}, bytes
end

-- Returns conversations that are due and their due times, alternating.
local function find_due()
  if only == '' then
    return redis.call('ZRANGEBYSCORE', partition.active, '-inf', digits(now_ms), 'WITHSCORES', 'LIMIT', 0, limit)
  end
  local score = redis.call('ZSCORE', partition.active, only)
  return (limit > 0 and score and tonumber(score) <= now_ms) and {only, score} or {}
end

local function renew(place)
  local expires = digits(now_ms + lock_ttl_ms)
  redis.call('HSET', place.lock, 'expiresAt', expires)
  redis.call('ZADD', partition.active, expires, place.conversation)
end

local function answer(batches)
  local next_due = only ~= '' and redis.call('ZSCORE', partition.active, only)
    or only == '' and redis.call('ZRANGE', partition.active, 0, 0, 'WITHSCORES')[2]
  return {now_ms, tonumber(next_due or -1), given_up, batches}
end

allow_when_full(partition.token)
local batches = {}
local last = redis.call('HMGET', last_claim, 'claimId', 'conversations')
if last[1] == claim_id then
  for conversation in string.gmatch(last[2], '%S+') do
    local place = place_in(partition, conversation)
    local held = redis.call('HMGET', place.lock, 'token', 'claimId')
    if held[1] and held[2] == claim_id then
      renew(place)
      batches[#batches + 1] = batch_of(place)
    end
  end
  redis.call('PEXPIRE', last_claim, lock_ttl_ms)
  return answer(batches)
end

local leased, bytes = {}, 0
local due = find_due()
for index = 1, #due, 2 do
  local place = place_in(partition, due[index])
  if bytes < REPLY_BYTES_MAX and lease_if_due(place, tonumber(due[index + 1])) then
    local batch, batch_bytes = batch_of(place)
    batches[#batches + 1] = batch
    leased[#leased + 1] = place.conversation
    bytes = bytes + batch_bytes
  end
end
if #leased > 0 then
  redis.call('HSET', last_claim, 'claimId', claim_id, 'conversations', table.concat(leased, ' '))
  redis.call('PEXPIRE', last_claim, lock_ttl_ms)
end
return answer(batches)
