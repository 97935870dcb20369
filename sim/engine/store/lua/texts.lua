-- Commands of texts.

local commands, data = ...
local clock, digits, fail, find, forget, keep, text, whole, SYNTAX =
  data.clock, data.digits, data.fail, data.find, data.forget, data.keep, data.text, data.whole, data.SYNTAX

function commands.GET(key)
  local entry = find(text(key), 'string')
  return entry and entry.value or false
end

function commands.SET(key, value, ...)
  key = text(key)
  local options, expires, condition = {...}, nil, nil
  local index = 1
  while index <= #options do
    local option = string.upper(text(options[index]))
    if option == 'NX' or option == 'XX' then
      condition = option
    elseif option == 'PX' or option == 'EX' then
      index = index + 1
      local wait = whole(options[index])
      if wait <= 0 then fail("ERR invalid expire time in 'set' command") end
      expires = clock.ms + wait * (option == 'EX' and 1000 or 1)
    else
      fail(SYNTAX)
    end
    index = index + 1
  end
  local entry = find(key)
  if condition == 'NX' and entry or condition == 'XX' and not entry then
    return false
  end
  forget(key)
  keep(key, {kind = 'string', value = text(value), expires = expires})
  return {ok = 'OK'}
end

function commands.SETEX(key, wait_s, value)
  if whole(wait_s) <= 0 then fail("ERR invalid expire time in 'setex' command") end
  return commands.SET(key, value, 'EX', wait_s)
end

function commands.SETNX(key, value)
  return commands.SET(key, value, 'NX') and 1 or 0
end

function commands.GETRANGE(key, first, last)
  local entry = find(text(key), 'string')
  first, last = whole(first), whole(last)
  local size = entry and #entry.value or 0
  if first < 0 and last < 0 and first > last then return '' end
  first, last = first < 0 and math.max(first + size, 0) or first, last < 0 and math.max(last + size, 0) or last
  return entry and string.sub(entry.value, first + 1, last + 1) or ''
end

function commands.STRLEN(key)
  local entry = find(text(key), 'string')
  return entry and #entry.value or 0
end

function commands.INCRBY(key, step)
  key = text(key)
  local entry = find(key, 'string')
  local number = (entry and whole(entry.value) or 0) + whole(step)
  if entry then
    entry.value = digits(number)
  else
    keep(key, {kind = 'string', value = digits(number)})
  end
  return number
end

function commands.INCR(key)
  return commands.INCRBY(key, 1)
end
