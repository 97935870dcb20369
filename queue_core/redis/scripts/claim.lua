-- claim: leases conversations that are due, oldest due time first, and returns their waiting messages.
-- A conversation whose lease ran out is taken over, and the attempt counts; so nothing has to clean up after a crash.
--
-- While Redis is away no worker can renew a lease, so an expired lease does not prove that its holder is dead. It is taken
-- over only when claims have come without a gap for `grace_ms`: then Redis could be reached, and a living holder would have
-- renewed it. From the middle of a lease on, claims look at it if it was not renewed. So even if no other claims come,
-- `grace_ms` is over when the lease ends, and a dead worker's lease is taken over without delay.
--
-- A claim whose answer was lost is repeated with the same claim_id: it returns the same leases, renewed, if there are any.
-- `claim_number` counts the claims of a processor, repeated ones included, since it began its `run`. A late copy of a
-- claim, which the network delivers after that claim or a newer one, leases nothing, since no worker would read the answer.
-- `kept` lists conversations and tokens, alternating. The claim renews their leases first, since their worker could not
-- renew them.
-- Redis's clock shows a time between `earliest_ms` and `latest_ms` if it ran like the worker's clock since an earlier answer;
-- both are 0 if unknown. If it shows more, it was set forward, and the wait of all messages counts from now. If it shows
-- less, or less than at an earlier claim, it was set back: claims then search the whole index for conversations that would
-- wait too long.
-- `was_unanswered` is 1 if Redis did not answer the worker's claim before. No worker could take the messages meanwhile, so
-- their wait counts from now, too.
-- While the queue is held nothing is leased, and next_due_ms is -1; the end of the hold wakes the workers.
-- `watcher` is the worker if it watches the partition from now on (watch.py), else ''. `room` is the number of turns that it
-- may still begin; a worker without room does not watch. `left_out` names workers that should have come before this claim:
-- if it finds something that is due, they do not watch any more.
-- `only` is a conversation: no other is leased, and next_due_ms is the time of that one; '' allows all.
-- A damaged key is moved aside; if the conversation still cannot be leased, all of it is moved aside: see damage.lua.
-- A turn that needs a backend that is away waits for it (outages.lua), except one at a time, which probes the backend.
-- While work resumes, waiting turns come first, a limited number at a time.
-- Returns {now_ms, next_due_ms or -1, given_up, spared, batches, damaged, news, behind, watchers}: `spared` counts expired
-- leases that were left to their holders, `damaged` counts keys that were moved aside; a batch is
--   {conversation, token, attempt, waiting, due_ms, reply or false, send_state or false, parts or false, setbacks,
--   elements}
-- and `news` has {backend, 'away' or 'back', since_ms, error} for each backend that has gone away or come back. `behind`
-- lists the leased conversations that may have to wait for other conversations of their users, see aliases.lua.
-- `watchers` names the workers that watch the partition, in order.

-- Limits on the leases of a claim and on the bytes of their messages, so that a claim takes Redis a few milliseconds at
-- most. The next claim leases the others.
local LEASES_MAX = 50
local REPLY_BYTES_MAX = 256 * 1024
-- Longest time between two claims that is not a gap.
local GAP_MS = math.floor(lock_ttl_ms / 4)
-- Time after which a claim looks again at a lease that must not be taken over yet.
local LOOK_MS = math.ceil(lock_ttl_ms / 8)
-- Largest integer that Lua's numbers represent exactly.
local TOKEN_MAX = 2 ^ 53
-- Limit on searches for due conversations in one claim.
local ROUNDS_MAX = 16
-- Limit on conversations that one claim lets wait for a backend; the next claim handles the others.
local PUT_OFF_MAX = 100
-- Dead letters after which a claim stops searching; the next claim continues.
local GIVEN_UP_MAX = 200
-- Limits, in one claim, on backends that can serve turns again, and on the waiting conversations that are tried for each.
local BACKENDS_MAX, CANDIDATES_MAX = 16, 50

-- Conversations that one claim checks after the clock was set back.
local SWEEP_PAGE = 100

local given_up, spared, damaged, put_off_count = 0, 0, 0, 0
local leased, batches, behind, bytes = {}, {}, {}, 0
-- Times of the looks at new leases, each followed by its conversation, which is still in the index as due.
local unscheduled = {}
-- Times that are written for each lease.
local locked_at, expires_at, look = digits(now_ms), digits(now_ms + lock_ttl_ms), digits(look_at(now_ms, lock_ttl_ms))
-- Time from which the wait of older messages counts, after an outage or a step of the clock.
local counts_from = 0
-- Time at which the last hold ended; the wait for a backend counts from it, too.
local held_until = 0
-- Names of the workers that watch the partition.
local watchers = ''
-- Time since which claims have come without a gap.
local since
-- Rank, from the end of the index, at which the search after a step of the clock continues; nil if there is none.
local sweep
-- True if anything was due.
local has_found = false
-- The last token of this claim.
local last_token
local gate = open_gate(partition, now_ms)
-- Functions for backends that are away, and functions that few claims need; nil until they are needed.
local demanded = not gate.is_open and on_demand() or nil
local seldom_used
limit = gate.is_on_hold and 0 or math.min(limit, LEASES_MAX)

-- Returns true for a message that came at a time and waited too long: for a backend if `awaited` names one, else for a worker.
-- An element without a stamp is not a message, and never expires.
local function is_expired(at, awaited)
  if awaited then
    return at > 0 and math.max(at, held_until) < now_ms - patience_ms
  end
  return at > 0 and math.max(at, counts_from) < now_ms - queue_ttl_ms
end

local function renew(place)
  redis.call('HSET', place.lock, 'expiresAt', digits(now_ms + lock_ttl_ms))
  schedule_look(place, now_ms, lock_ttl_ms)
end

local function note_behind(place)
  behind[#behind + 1] = redis.call('EXISTS', place.behind) == 1 and place.conversation or nil
end

-- Returns the functions that few claims need.
local function seldom()
  if seldom_used then
    return seldom_used
  end

  -- Searches a page of the index for conversations that would wait too long.
  local function search_page()
    local page, moved = redis.call('ZREVRANGE', partition.active, sweep, sweep + SWEEP_PAGE - 1), 0
    for _, conversation in ipairs(page) do
      local place = place_in(partition, conversation)
      local is_done, is_moved = pcall(on_demand().pull_forward, place, rules, now_ms, lock_ttl_ms)
      moved = moved + (is_done and is_moved and 1 or 0)
    end
    if #page < SWEEP_PAGE then
      redis.call('HDEL', partition.looks, 'sweep')
      sweep = nil
      return
    end
    sweep = sweep + #page - moved
    redis.call('HSET', partition.looks, 'sweep', sweep)
  end

  -- Counts the expired messages at the head, up to the size of a batch.
  local function expired_at_head(place, awaited)
    local count = 0
    for _, element in ipairs(redis.call('LRANGE', place.queue, 0, max_batch - 1)) do
      if not is_expired(stamp_of(element), awaited) then
        break
      end
      count = count + 1
    end
    return count
  end

  -- Returns how many messages at the head have waited too long for a backend. A batch with a recorded reply counts whole.
  local function outlasted_at_head(place, awaited)
    local count = expired_at_head(place, awaited)
    return count > 0 and read_head(place, max_batch).size or count
  end

  local function reason_of_wait(name, error)
    local cause = name == 'limit' and 'too much was sent' or name .. ' was away'
    return 'given up after ' .. math.floor(patience_ms / 1000) .. ' s: ' .. cause
      .. (error and '; last error: ' .. error or '')
  end

  -- Makes dead letters of messages at the head that expired, used up their attempts, or waited for room for dead letters.
  -- `awaited` is the backend for which they wait, 'limit' after a rate limit, or nil. Returns the remaining tries; nil if
  -- there is no room.
  local function settle_head(place, tries, awaited, lock, head)
    local count, reason = 0, lock[6]
    if reason and #tries > 0 then
      count = number_in(lock[7]) or tries[1]
    elseif #tries >= max_attempts then
      -- A recorded reply answers its whole batch; without one only messages that had all attempts are given up.
      count = head.size or tries[1]
      reason = 'given up after ' .. on_demand().attempts(#tries) .. ': the last lease ran out (worker died or stalled)'
      local error = redis.call('HGET', place.lock, 'error')
      if error then
        reason = reason .. '; error before that: ' .. error
      end
    elseif awaited then
      count = outlasted_at_head(place, awaited)
      reason = reason_of_wait(awaited, redis.call('HGET', place.lock, 'error'))
    else
      count = expired_at_head(place)
      reason = 'expired: no worker took it for over ' .. math.floor(queue_ttl_ms / 1000) .. ' s'
    end
    if count > 0 then
      if on_demand().must_wait(place, count, reason, now_ms, dead_letters_max) then
        return nil
      end
      tries = on_demand().give_up(place, count, reason, now_ms)
      given_up = given_up + count
      if awaited then
        counts_from = now_ms
        on_demand().restart_waits(partition.base, now_ms)
      end
    end
    return tries
  end

  -- Lets a conversation wait for a backend. Messages that waited too long become dead letters if there is room.
  local function let_wait(place, backend)
    local head = redis.call('LINDEX', place.queue, 0)
    if head and is_expired(stamp_of(head), backend.name) and redis.call('XLEN', partition.dead) < dead_letters_max then
      local count = outlasted_at_head(place, backend.name)
      local error = redis.call('HGET', place.lock, 'error') or redis.call('HGET', backend.state, 'error')
      on_demand().give_up(place, count, reason_of_wait(backend.name, error), now_ms)
      given_up = given_up + count
      head = redis.call('LINDEX', place.queue, 0)
    end
    if head then
      local added_at = stamp_of(head)
      local until_ms = math.max(added_at, held_until) + patience_ms
      demanded.put_off(place, backend, now_ms, until_ms > now_ms and until_ms or nil)
    else
      redis.call('ZREM', partition.active, place.conversation)
    end
    put_off_count = put_off_count + 1
  end

  -- Returns the batch that a held lock describes.
  local function batch_of(place)
    local lock = redis.call('HMGET', place.lock, 'token', 'tries', 'dueAt', 'size', 'setbacks')
    local reply = redis.call('HMGET', place.reply, 'text', 'state', 'parts')
    local _, commas = string.gsub(lock[2], ',', '')
    local elements = redis.call('LRANGE', place.queue, 0, tonumber(lock[4]) - 1)
    local waiting = redis.call('LLEN', place.queue)
    local setbacks = string.match(lock[5] or '', '^%d+$') or '0'
    note_behind(place)
    return {
      place.conversation, lock[1], commas + 1, waiting, lock[3], reply[1], reply[2], reply[3], setbacks, elements,
    }
  end

  -- Returns the leases that an earlier copy of this claim made, renewed.
  local function repeat_leases(conversations)
    for conversation in string.gmatch(conversations, '%S+') do
      local place = place_in(partition, conversation)
      local held = redis.pcall('HMGET', place.lock, 'token', 'claimId')
      if held[1] and held[2] == claim_id then
        renew(place)
        local is_readable, batch = pcall(batch_of, place)
        batches[#batches + 1] = is_readable and batch or nil
      end
    end
  end

  local function renew_kept()
    for conversation, token in string.gmatch(kept, '(%S+) (%S+)') do
      local place = place_in(partition, conversation)
      if redis.pcall('HGET', place.lock, 'token') == token then
        renew(place)
      end
    end
  end

  -- Moves a conversation aside: its messages, its lock and its reply.
  local function set_conversation_aside(place, problem)
    for _, name in ipairs({'queue', 'lock', 'reply'}) do
      if redis.call('EXISTS', place[name]) == 1 then
        on_demand().set_aside(place, name, problem, now_ms)
        damaged = damaged + 1
      end
    end
    redis.call('ZREM', partition.active, place.conversation)
  end

  -- Moves damaged keys aside after an error. Returns true if the visit is worth another try. Errors that are not about the
  -- data, such as a missing right, end the claim.
  local function mend_after(place, answer, is_last)
    local problem = on_demand().words_of(answer)
    local mended = on_demand().mend(place, problem, now_ms) + on_demand().mend(partition, problem, now_ms)
    damaged = damaged + mended
    if mended > 0 and not is_last then
      return true
    end
    if not on_demand().is_about_data(problem) then
      error(answer, 0)
    end
    set_conversation_aside(place, problem)
    return false
  end

  -- Returns the first conversations that wait for a backend, in their order. Those that failed come after the others, since
  -- they may have failed by their own fault; last come those whose reply may have been sent, since a send could be the
  -- second.
  local function candidates_of(backend)
    local candidates, failed, unsure = {}, {}, {}
    for _, conversation in ipairs(redis.call('ZRANGE', backend.waiting, 0, CANDIDATES_MAX - 1)) do
      local place = place_in(partition, conversation)
      local list = redis.pcall('HGET', place.reply, 'state') == 'unsure' and unsure
        or redis.pcall('HEXISTS', place.lock, 'error') == 1 and failed or candidates
      list[#list + 1] = conversation
    end
    for _, list in ipairs({failed, unsure}) do
      for _, conversation in ipairs(list) do
        candidates[#candidates + 1] = conversation
      end
    end
    return candidates
  end

  seldom_used = {
    search_page = search_page, settle_head = settle_head, let_wait = let_wait, repeat_leases = repeat_leases,
    renew_kept = renew_kept, mend_after = mend_after, candidates_of = candidates_of,
  }
  return seldom_used
end

-- Notes that this claim looked at the index.
local function note_look()
  local looks = redis.call('HMGET', partition.looks, 'at', 'since', 'counts_from', 'sweep', 'held_until', 'watchers')
  local at = number_in(looks[1])
  since, sweep = number_in(looks[2]), number_in(looks[4])
  counts_from, held_until = number_in(looks[3]) or 0, number_in(looks[5]) or 0
  watchers = looks[6] or ''
  local is_forward = latest_ms > 0 and now_ms > latest_ms + STEP_MS
  local is_back = at and now_ms < at - STEP_MS or now_ms < earliest_ms - STEP_MS
  if not at or now_ms - at > GAP_MS or now_ms < since then
    since = now_ms
  end
  redis.call('HSET', partition.looks, 'at', digits(now_ms), 'since', digits(since))
  if is_forward or was_unanswered == 1 or is_back and counts_from > now_ms then
    counts_from = now_ms
    redis.call('HSET', partition.looks, 'counts_from', digits(now_ms))
  end
  if is_back then
    sweep = 0
    pcall(on_demand().probe_at_once, partition.base, now_ms)
  end
end

-- Returns true if a conversation has a lease that must not be taken over yet, and schedules another look at it.
local function is_held(place, expires)
  if expires > now_ms + lock_ttl_ms then  -- the clock was set back
    expires = now_ms + lock_ttl_ms
    redis.call('HSET', place.lock, 'expiresAt', digits(expires))
  end
  local free_at = math.max(expires, since + grace_ms)
  if free_at <= now_ms then
    return false
  end
  if expires <= now_ms then
    spared = spared + 1
  end
  redis.call('ZADD', partition.active, digits(math.min(free_at, now_ms + LOOK_MS)), place.conversation)
  return true
end

-- Returns a token greater than all before, even after a failover that set the counter back.
local function next_token()
  if not last_token then
    local last = number_in(redis.call('GET', partition.token)) or 0
    last_token = math.max(last < TOKEN_MAX and last + 1 or 0, now_ms * 1000)
    redis.call('SET', partition.token, digits(last_token + limit))  -- first, so that no later claim has one of them
  else
    last_token = last_token + 1
  end
  return digits(last_token)
end

-- Schedules the looks at the leases that were taken. If the claim is stopped before, the next claim does it.
local function schedule_looks()
  if unscheduled[1] then
    redis.call('ZADD', partition.active, unpack(unscheduled))
    unscheduled = {}
  end
end

-- Leases a conversation, and notes its batch.
local function lease(place, tries, due, lock, head)
  local size = head.size or math.min(head.waiting, max_batch)
  local token, due_text = next_token(), digits(due)
  tries[#tries + 1] = size
  redis.call('HSET', place.lock, 'processorId', processor_id, 'claimId', claim_id, 'token', token,
    'lockedAt', locked_at, 'expiresAt', expires_at, 'dueAt', due_text, 'size', size,
    'tries', table.concat(tries, ','))
  unscheduled[#unscheduled + 1], unscheduled[#unscheduled + 2] = look, place.conversation
  local elements, size_bytes = messages_of(place, head, size)
  local reply, setbacks = head.reply, lock[8] and string.match(lock[8], '^%d+$') or '0'
  leased[#leased + 1] = place.conversation
  batches[#batches + 1] = {
    place.conversation, token, #tries, head.waiting, due_text, reply[1], reply[2], reply[3], setbacks, elements,
  }
  bytes = bytes + size_bytes
end

-- Settles the head of a conversation, and leases it if it is due then. `awaited` is the backend for which it waits, if any;
-- `is_bare` is true if there is no reply. Returns true if it is leased.
local function lease_if_due(place, due, lock, awaited, is_bare)
  local tries = tries_in(lock[2])
  local head = read_head(place, max_batch, is_bare)
  if lock[4] and not head.has_reply then
    tries = on_demand().finish_answered(place, lock[4], now_ms, completed_ttl_ms)
    on_demand().end_lease(place)  -- the lease was on other messages
    head = read_head(place, max_batch)
  end
  local is_new = #tries == 0 and not head.has_reply
  if lock[6] and #tries > 0 or #tries >= max_attempts or awaited or is_new and head.oldest and is_expired(head.oldest) then
    local given_up_before = given_up
    tries = seldom().settle_head(place, tries, awaited, lock, head)
    if not tries then
      return
    elseif given_up > given_up_before then
      head, lock[8] = read_head(place, max_batch), redis.call('HGET', place.lock, 'setbacks')
    end
  end
  local rest_due = due_at(place, rules, now_ms, head.waiting, head.oldest)
  if not rest_due then
    redis.call('ZREM', partition.active, place.conversation)
    redis.call('DEL', place.lock, place.reply)
    return
  end
  rest_due = no_later(rest_due, lock[3])
  if #tries == 0 and not head.has_reply then
    local expired = is_expired(head.oldest, awaited)
    if expired or rest_due > now_ms then
      schedule(place, expired and now_ms or rest_due)
      return
    end
  end
  lease(place, tries, due, lock, head)
  return true
end

-- Leases a conversation that is due, where possible. Returns true if it cannot be leased in this search: another lease must
-- not be taken over yet, changes are left to apply, or it waits for a backend.
local function visit(place, due)
  -- Most conversations have nothing but messages.
  local is_bare = redis.call('EXISTS', place.lock, place.reply, place.changes, place.change_notes, place.behind) == 0
  local lock = is_bare and {} or redis.call('HMGET', place.lock, 'expiresAt', 'tries', 'latest', 'answered', 'awaited',
    'given_up', 'given_up_size', 'setbacks')
  local expires = number_in(lock[1])
  if expires and is_held(place, expires) then
    return true
  end
  local has_more = not is_bare and redis.call('EXISTS', place.changes, place.change_notes, place.behind) > 0
  if has_more and has_changes(place) then
    if not on_demand().apply_changes(place, max_batch, now_ms, completed_ttl_ms) then
      return true  -- the next search applies the other changes
    end
    on_demand().end_lease(place)  -- the lease was on other messages
    lock[2] = redis.call('HGET', place.lock, 'tries')
  end
  local needed = demanded and demanded.needed_backends(gate, place, now_ms) or {}
  for _, backend in ipairs(needed) do
    if backend.slots <= 0 then
      seldom().let_wait(place, backend)
      return true
    end
  end
  if bytes < REPLY_BYTES_MAX and lease_if_due(place, due, lock, lock[5] or needed[1] and needed[1].name, is_bare) then
    if needed[1] then
      demanded.use_backends(place, needed, now_ms + lock_ttl_ms)
    end
    if has_more then
      note_behind(place)
    end
  end
end

-- Visits a conversation as `visit` does, and moves damaged keys aside that make it fail.
local function take(conversation, due)
  has_found = true
  local place = place_in(partition, conversation)
  for round = 1, 2 do
    local is_done, answer = pcall(visit, place, due)
    if is_done then
      return answer
    elseif not seldom().mend_after(place, answer, round == 2) then
      return
    end
  end
end

-- Leases conversations that wait for a backend and may use it now.
local function take_waiting(backend)
  for _, conversation in ipairs(seldom().candidates_of(backend)) do
    if backend.slots <= 0 or #leased >= limit or bytes >= REPLY_BYTES_MAX or given_up >= GIVEN_UP_MAX then
      return
    end
    redis.call('ZREM', backend.waiting, conversation)
    take(conversation, now_ms)
    schedule_looks()
    demanded.ring_for_look(partition, now_ms, lock_ttl_ms)  -- until now, the index had a later time for it
  end
end

-- Returns up to `count` conversations that are due and their due times, alternating.
local function find_due(count)
  if only == '' then
    return redis.call('ZRANGEBYSCORE', partition.active, '-inf', digits(now_ms), 'WITHSCORES', 'LIMIT', 0, count)
  end
  local score = redis.call('ZSCORE', partition.active, only)
  return (count > 0 and score and tonumber(score) <= now_ms) and {only, score} or {}
end

-- Notes which workers watch the partition. The worker enters, or leaves if it has no room for more.
local function note_watchers()
  local left_out = ' ' .. (has_found and left_out or '') .. ' '
  local is_full, is_listed, list = #leased >= room, false, ''
  for name in string.gmatch(watchers, '%S+') do
    local leaves = string.find(left_out, ' ' .. name .. ' ', 1, true) or is_full and name == watcher
    is_listed = is_listed or name == watcher
    list = leaves and list or list .. ' ' .. name
  end
  if not is_listed and not is_full and watcher ~= '' then
    list = list .. ' ' .. watcher
  end
  if list ~= watchers then
    watchers = list
    redis.call('HSET', partition.looks, 'watchers', watchers)
  end
end

-- Returns the answer, with the time at which the partition next needs attention, or with `only`, that conversation.
local function answer(news)
  local next_due
  if only ~= '' and not gate.is_on_hold then
    next_due = tonumber(redis.call('ZSCORE', partition.active, only) or -1)
  else
    next_due = next_attention(partition, gate, now_ms, sweep)
  end
  return {now_ms, next_due, given_up, spared, batches, damaged, news, behind, watchers}
end

local function read_last_claim()
  return redis.call('HMGET', last_claim, 'claimId', 'conversations', 'run', 'number')
end

local layout = read_layout(partition)
allow_when_full(partition.token)
if not number_in(layout[2]) then
  layout_since(partition, now_ms)
end
local last = guarded({last_claim = last_claim, damaged = partition.damaged}, now_ms, read_last_claim)
local has_leased = last[1] == claim_id and (last[2] or '') ~= ''
if last[3] == run and not has_leased and claim_number <= (number_in(last[4]) or 0) then
  return answer({})
end
note_look()
if sweep then
  seldom().search_page()
end
if kept ~= '' then
  seldom().renew_kept()
end
if has_leased then
  seldom().repeat_leases(last[2])
  redis.call('HSET', last_claim, 'run', run, 'number', claim_number)
  redis.call('PEXPIRE', last_claim, queue_ttl_ms)
  note_watchers()
  return answer({})
end

local news = demanded and demanded.take_news(gate, now_ms) or {}
if demanded and limit > 0 and only == '' then
  for _, backend in ipairs(demanded.backends_to_serve(gate, now_ms, BACKENDS_MAX)) do
    take_waiting(backend)
  end
end
for _ = 1, ROUNDS_MAX do  -- a search puts off conversations that must wait, so the next search finds others
  local count = limit - #leased
  local due, not_yet = find_due(gate.is_open and count or math.min(count, PUT_OFF_MAX - put_off_count)), 0
  for index = 1, #due, 2 do
    if given_up < GIVEN_UP_MAX then
      not_yet = not_yet + (take(due[index], tonumber(due[index + 1])) and 1 or 0)
    end
  end
  schedule_looks()
  if not_yet == 0 or put_off_count >= PUT_OFF_MAX or given_up >= GIVEN_UP_MAX then
    break
  end
end
if demanded then
  demanded.settle_backends(gate, now_ms)
end
note_watchers()
redis.call('HSET', last_claim, 'claimId', claim_id, 'conversations', table.concat(leased, ' '), 'run', run,
  'number', claim_number)
redis.call('PEXPIRE', last_claim, queue_ttl_ms)
return answer(news)
