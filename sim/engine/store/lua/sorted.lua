-- Commands of sorted sets.

local commands, data = ...
local bounds, digits, fail, find, forget, keep, no_more_than, text, whole, SYNTAX =
  data.bounds, data.digits, data.fail, data.find, data.forget, data.keep, data.no_more_than, data.text, data.whole, data.SYNTAX

-- A sorted set: members in the order of score and name.
local function new_sorted()
  return {kind = 'zset', scores = {}, members = {}}
end

-- Returns the position of a member with this score, or where it belongs.
local function position_of(sorted, score, member)
  local members, scores = sorted.members, sorted.scores
  local low, high = 1, #members + 1
  while low < high do
    local middle = math.floor((low + high) / 2)
    local other = members[middle]
    local other_score = scores[other]
    if other_score < score or other_score == score and other < member then
      low = middle + 1
    else
      high = middle
    end
  end
  return low
end

local function remove_member(sorted, member)
  local score = sorted.scores[member]
  if not score then
    return 0
  end
  table.remove(sorted.members, position_of(sorted, score, member))
  sorted.scores[member] = nil
  return 1
end

local function add_member(sorted, score, member)
  local is_new = 1 - remove_member(sorted, member)
  table.insert(sorted.members, position_of(sorted, score, member), member)
  sorted.scores[member] = score
  return is_new
end

local function score_of(value)
  local words = string.lower(text(value))
  if words == 'inf' or words == '+inf' then return math.huge end
  if words == '-inf' then return -math.huge end
  local number = tonumber(words)
  if not number or number ~= number then fail('ERR value is not a valid float') end
  return number
end

function commands.ZADD(key, ...)
  key = text(key)
  local given, first, condition, changes = {...}, 1, nil, false
  while first <= #given do
    local option = string.upper(text(given[first]))
    if option == 'NX' or option == 'XX' then condition = option
    elseif option == 'CH' then changes = true
    else break end
    first = first + 1
  end
  local count = #given - first + 1
  if count == 0 or count % 2 == 1 then fail(SYNTAX) end
  local scores = {}
  for index = first, #given, 2 do scores[index] = score_of(given[index]) end
  local sorted, added, changed = find(key, 'zset'), 0, 0
  if not sorted and condition == 'XX' then return 0 end
  sorted = sorted or keep(key, new_sorted())
  for index = first, #given, 2 do
    local member, score = text(given[index + 1]), scores[index]
    local old = sorted.scores[member]
    if not (condition == 'NX' and old or condition == 'XX' and not old) then
      if old ~= score then
        added = added + add_member(sorted, score, member)
        changed = changed + 1
      end
    end
  end
  return changes and changed or added
end

function commands.ZREM(key, ...)
  key = text(key)
  local sorted, removed = find(key, 'zset'), 0
  if not sorted then return 0 end
  for index = 1, select('#', ...) do
    removed = removed + remove_member(sorted, text((select(index, ...))))
  end
  if #sorted.members == 0 then forget(key) end
  return removed
end

function commands.ZSCORE(key, member)
  local sorted = find(text(key), 'zset')
  local score = sorted and sorted.scores[text(member)]
  return score and digits(score) or false
end

function commands.ZMSCORE(key, ...)
  local sorted = find(text(key), 'zset')
  local scores = {}
  for index = 1, select('#', ...) do
    local score = sorted and sorted.scores[text((select(index, ...)))]
    scores[index] = score and digits(score) or false
  end
  return scores
end

function commands.ZCARD(key)
  local sorted = find(text(key), 'zset')
  return sorted and #sorted.members or 0
end

-- Returns members; with `with_scores`, the score comes after each member.
local function members_of(sorted, first, last, step, with_scores)
  local members = {}
  for index = first, last, step do
    local member = sorted.members[index]
    members[#members + 1] = member
    if with_scores then members[#members + 1] = digits(sorted.scores[member]) end
  end
  return members
end

local function wants_scores(...)
  no_more_than(select('#', ...), 1)
  local option = ...
  if option and string.upper(text(option)) ~= 'WITHSCORES' then fail(SYNTAX) end
  return option ~= nil
end

function commands.ZRANGE(key, first, last, ...)
  local sorted, with_scores = find(text(key), 'zset'), wants_scores(...)
  local low, high = bounds(first, last, sorted and #sorted.members or 0)
  return low and members_of(sorted, low + 1, high + 1, 1, with_scores) or {}
end

function commands.ZREVRANGE(key, first, last, ...)
  local sorted, with_scores = find(text(key), 'zset'), wants_scores(...)
  local size = sorted and #sorted.members or 0
  local low, high = bounds(first, last, size)
  return low and members_of(sorted, size - low, size - high, -1, with_scores) or {}
end

local function limit_of(value)
  local words = text(value)
  local is_open = string.sub(words, 1, 1) == '('
  local is_read, score = pcall(score_of, is_open and string.sub(words, 2) or words)
  if not is_read then fail('ERR min or max is not a float') end
  return score, is_open
end

function commands.ZRANGEBYSCORE(key, low, high, ...)
  local lowest, is_above = limit_of(low)
  local highest, is_below = limit_of(high)
  local options, with_scores, skip, count = {...}, false, 0, -1
  local index = 1
  while index <= #options do
    local option = string.upper(text(options[index]))
    if option == 'WITHSCORES' then
      with_scores = true
    elseif option == 'LIMIT' and options[index + 2] then
      skip, count = whole(options[index + 1]), whole(options[index + 2])
      index = index + 2
    else
      fail(SYNTAX)
    end
    index = index + 1
  end
  local sorted = find(text(key), 'zset')
  if not sorted or skip < 0 then return {} end
  local first = position_of(sorted, lowest, '')
  while is_above and sorted.members[first] and sorted.scores[sorted.members[first]] == lowest do
    first = first + 1
  end
  local last = first - 1
  while sorted.members[last + 1] do
    local score = sorted.scores[sorted.members[last + 1]]
    if score > highest or is_below and score == highest or count >= 0 and last - first + 1 >= skip + count then
      break
    end
    last = last + 1
  end
  return members_of(sorted, first + skip, last, 1, with_scores)
end

-- Returns all members at once, as a real server does for small sets.
function commands.ZSCAN(key, cursor, ...)
  whole(cursor, 'ERR invalid cursor')
  local option = ...
  if option and string.upper(text(option)) ~= 'COUNT' then data.lacks('ZSCAN with ' .. text(option)) end
  if select('#', ...) > 2 then fail(SYNTAX) end
  local sorted = find(text(key), 'zset')
  return {'0', sorted and members_of(sorted, 1, #sorted.members, 1, true) or {}}
end
