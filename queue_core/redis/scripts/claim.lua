-- claim: leases conversations that are due, oldest due time first, and hands over what waits in them.
-- A crash needs no reaper: a lease that ran out makes the conversation due again, and this counts the attempt.
-- A claim repeated with the same claim_id, because its answer was lost, is answered with the same leases again,
-- renewed: whoever asks begins with them only now.
-- `only` is a conversation: nothing but that one is leased, and next_due_ms is its own; '' is all of them.
-- Keys of the conversations found are made from `base`; they share the partition's slot.
-- Returns {now_ms, next_due_ms or -1, given_up, batches}, a batch being
--   {conversation, token, attempt, waiting, due_ms, reply or false, send_state or false, elements}

local active = KEYS[1]
local wake = KEYS[2]
local token_key = KEYS[3]
local dead = KEYS[4]
local last_claim = KEYS[5]
local now_ms = ARGV[1]
local base = ARGV[2]
local processor_id = ARGV[3]
local claim_id = ARGV[4]
local limit = tonumber(ARGV[5])
local lock_ttl_ms = tonumber(ARGV[6])
local max_batch = tonumber(ARGV[7])
local max_attempts = tonumber(ARGV[8])
local queue_ttl_ms = tonumber(ARGV[9])
local window_ms = tonumber(ARGV[10])
local max_messages = tonumber(ARGV[11])
local idle_ms = tonumber(ARGV[12])
local only = ARGV[13]

local REPLY_BYTES_MAX = 16 * 1024 * 1024

local now = clock_ms(now_ms)
local given_up = 0

-- Greater than any before, and than any from before a failover that set the counter back.
local function next_token()
  local token = math.max(tonumber(redis.call('GET', token_key) or 0) + 1, now * 1000)
  redis.call('SET', token_key, digits(token))
  return token
end

-- What was never stamped is no message of this queue, and not for this to judge.
local function is_expired(element)
  local at = stamp_of(element)
  return at > 0 and at < now - queue_ttl_ms
end

local function head_is_expired(queue)
  local head = redis.call('LINDEX', queue, 0)
  return head and is_expired(head)
end

-- At most a batch in one step; what has expired beyond that is due again at once.
local function expired_at_head(queue)
  local count = 0
  if head_is_expired(queue) then
    for _, element in ipairs(redis.call('LRANGE', queue, 0, max_batch - 1)) do
      if not is_expired(element) then
        break
      end
      count = count + 1
    end
  end
  return count
end

-- Dead letters that are owed before anything is handed over. Returns the tries that remain.
local function settle_head(conversation, queue, lock, reply)
  local tries = tries_of(lock)
  local count, reason = 0, nil
  if #tries >= max_attempts then
    -- A recorded reply answers its whole batch; without one only those go that had all the attempts.
    count = tonumber(redis.call('HGET', reply, 'size')) or tries[1]
    reason = 'given up after ' .. #tries .. ' attempts: the last lease ran out (worker died or stalled)'
    local error = redis.call('HGET', lock, 'error')
    if error then
      reason = reason .. '; error before that: ' .. error
    end
  elseif #tries == 0 and redis.call('EXISTS', reply) == 0 then
    count = expired_at_head(queue)
    reason = 'expired: no worker took it for over ' .. math.floor(queue_ttl_ms / 1000) .. ' s'
  end
  if count > 0 then
    tries = give_up(dead, queue, lock, reply, conversation, count, reason, now)
    given_up = given_up + count
  end
  return tries
end

local function lease(conversation, queue, lock, reply, tries, due)
  local size = tonumber(redis.call('HGET', reply, 'size')) or math.min(redis.call('LLEN', queue), max_batch)
  tries[#tries + 1] = size
  redis.call('HSET', lock, 'processorId', processor_id, 'claimId', claim_id, 'token', digits(next_token()),
    'lockedAt', digits(now), 'expiresAt', digits(now + lock_ttl_ms), 'dueAt', digits(due), 'size', size,
    'tries', table.concat(tries, ','))
  redis.call('ZADD', active, digits(now + lock_ttl_ms), conversation)
end

-- Leases a conversation that is due, unless settling its head leaves nothing that is. Says whether it did.
local function lease_if_due(conversation, due)
  local queue = base .. 'msg_queue:' .. conversation
  local lock = base .. 'processing_lock:' .. conversation
  local reply = base .. 'reply:' .. conversation
  local tries = settle_head(conversation, queue, lock, reply)
  local rest_due = due_at(queue, now, window_ms, max_messages, idle_ms)
  if not rest_due then
    redis.call('ZREM', active, conversation)
    redis.call('DEL', lock, reply)
    return false
  end
  if #tries == 0 and redis.call('EXISTS', reply) == 0 then
    local expired = head_is_expired(queue)
    if expired or rest_due > now then
      schedule(active, wake, conversation, expired and now or rest_due)
      return false
    end
  end
  lease(conversation, queue, lock, reply, tries, due)
  return true
end

-- What the holder is given, as its lock has it; and how many bytes of messages that is.
local function batch_of(conversation)
  local queue = base .. 'msg_queue:' .. conversation
  local lock = redis.call('HMGET', base .. 'processing_lock:' .. conversation, 'token', 'tries', 'dueAt', 'size')
  local reply = redis.call('HMGET', base .. 'reply:' .. conversation, 'text', 'state')
  local _, commas = string.gsub(lock[2], ',', '')
  local elements, bytes = redis.call('LRANGE', queue, 0, tonumber(lock[4]) - 1), 0
  for _, element in ipairs(elements) do
    bytes = bytes + #element
  end
  local waiting = redis.call('LLEN', queue)
  return {conversation, lock[1], commas + 1, waiting, lock[3], reply[1], reply[2], elements}, bytes
end

-- Conversations that are due and when they became so, alternating.
local function find_due()
  if only == '' then
    return redis.call('ZRANGEBYSCORE', active, '-inf', digits(now), 'WITHSCORES', 'LIMIT', 0, limit)
  end
  local score = redis.call('ZSCORE', active, only)
  return (limit > 0 and score and tonumber(score) <= now) and {only, score} or {}
end

local function renew(conversation, lock)
  local expires = digits(now + lock_ttl_ms)
  redis.call('HSET', lock, 'expiresAt', expires)
  redis.call('ZADD', active, expires, conversation)
end

local function answer(batches)
  local next_due = only ~= '' and redis.call('ZSCORE', active, only)
    or only == '' and redis.call('ZRANGE', active, 0, 0, 'WITHSCORES')[2]
  return {now, tonumber(next_due or -1), given_up, batches}
end

allow_when_full(token_key)
local batches = {}
local last = redis.call('HMGET', last_claim, 'claimId', 'conversations')
if last[1] == claim_id then
  for conversation in string.gmatch(last[2], '%S+') do
    local lock = base .. 'processing_lock:' .. conversation
    local held = redis.call('HMGET', lock, 'token', 'claimId')
    if held[1] and held[2] == claim_id then
      renew(conversation, lock)
      batches[#batches + 1] = batch_of(conversation)
    end
  end
  redis.call('PEXPIRE', last_claim, lock_ttl_ms)
  return answer(batches)
end

local leased, bytes = {}, 0
local due = find_due()
for index = 1, #due, 2 do
  local conversation = due[index]
  if bytes < REPLY_BYTES_MAX and lease_if_due(conversation, tonumber(due[index + 1])) then
    local batch, batch_bytes = batch_of(conversation)
    batches[#batches + 1] = batch
    leased[#leased + 1] = conversation
    bytes = bytes + batch_bytes
  end
end
if #leased > 0 then
  redis.call('HSET', last_claim, 'claimId', claim_id, 'conversations', table.concat(leased, ' '))
  redis.call('PEXPIRE', last_claim, lock_ttl_ms)
end
return answer(batches)
