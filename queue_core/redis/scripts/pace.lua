-- pace: gives the messages of a sending number moments at which to go, so that no second has more of them than allowed.
-- All processes that send share two keys of the number. `moments` is a list of moments, newest last: a message goes one
-- second after the message that is `per_s` before it, so a burst of up to `per_s` messages does not wait. `slowdown` is a
-- hash: after the provider refused messages as too many, nothing goes until `pausedUntil`, and then at a rate that was
-- halved `halvings` times, the last time at `slowedAt`.
-- `per_s` is the rate, 0 without a limit. `count` messages are given a moment if there is one within `wait_max_ms`, of which
-- they have waited `waited_ms` already.
-- `refused` is '1' if the provider refused a message as one too many; then it asks for a pause of `asked_ms`. The send that
-- it refused began `ago_ms` before.
-- Returns {1 if the messages were given a moment, wait_ms until that moment, halvings, paused_until}

-- Rate at which a number without a limit is assumed to send when it has to slow down.
local UNLIMITED_PER_S = 20
-- Time after a halving: a refused send that began in it does not halve the rate again. Time without a refusal after which
-- the rate doubles.
local TOGETHER_MS, RECOVERS_MS = 1000, 10000
local HALVINGS_MAX = 6
-- Longest pause, and longest wait for a moment. A time further ahead than that means that the clock was set back. So does a
-- moment further ahead than `wait_max_ms`, since no message is given such a moment.
local PAUSE_MS_MAX, AHEAD_MS_MAX = 600000, 60000

for _, key in ipairs({moments, slowdown}) do
  local kind = redis.call('TYPE', key)['ok']
  if kind ~= 'none' and kind ~= (key == moments and 'list' or 'hash') then
    redis.call('DEL', key)  -- damaged; nothing is lost with it
  end
end

local known = redis.call('HMGET', slowdown, 'pausedUntil', 'halvings', 'slowedAt')
local paused_until, slowed_at = number_in(known[1]) or 0, number_in(known[3]) or 0
local halvings = number_in(known[2]) or 0
if paused_until > now_ms + PAUSE_MS_MAX or slowed_at > now_ms + STEP_MS then
  redis.call('DEL', slowdown)
  paused_until, slowed_at, halvings = 0, 0, 0
end
local unrefused_ms = math.max(0, now_ms - math.max(slowed_at, paused_until))
halvings = math.max(0, halvings - math.floor(unrefused_ms / RECOVERS_MS))
if refused == '1' then
  -- A send that began before the end of a pause did not know of it: a pause halves the rate once, however many it refuses.
  if now_ms - ago_ms >= math.max(paused_until, slowed_at + TOGETHER_MS) then
    halvings, slowed_at = math.min(halvings + 1, HALVINGS_MAX), now_ms
  end
  paused_until = math.max(paused_until, now_ms + math.min(asked_ms, PAUSE_MS_MAX))
  redis.call('HSET', slowdown, 'pausedUntil', digits(paused_until), 'halvings', halvings, 'slowedAt', digits(slowed_at))
  redis.call('PEXPIRE', slowdown, 2 * PAUSE_MS_MAX)
end

-- Returns the number of messages that may go in a second now, 0 without a limit.
local function rate()
  if per_s == 0 and halvings == 0 then
    return 0
  end
  return math.max(1, math.floor((per_s > 0 and per_s or UNLIMITED_PER_S) / 2 ^ halvings))
end

-- Returns the moment at which the next message may go.
local function next_moment(in_a_second)
  local last = number_in(redis.call('LINDEX', moments, -1)) or 0
  if count > 0 and last > now_ms + math.min(wait_max_ms, AHEAD_MS_MAX) + STEP_MS then
    redis.call('DEL', moments)
    last = 0
  end
  local before = in_a_second > 0 and number_in(redis.call('LINDEX', moments, -in_a_second)) or 0
  return math.max(now_ms, paused_until, last, before + (before > 0 and 1000 or 0))
end

local in_a_second = rate()
local moment = next_moment(in_a_second)
local wait_ms = moment - now_ms
if count == 0 or waited_ms + wait_ms > math.min(wait_max_ms, AHEAD_MS_MAX) then
  return {0, wait_ms, halvings, paused_until}
end
if in_a_second > 0 then
  for _ = 1, math.min(count, in_a_second) do
    redis.call('RPUSH', moments, digits(moment))
  end
  redis.call('LTRIM', moments, -math.max(per_s, in_a_second), -1)
  redis.call('PEXPIRE', moments, 2 * wait_max_ms + 2000)
end
return {1, wait_ms, halvings, paused_until}
