-- Commands of lists.

local commands, data = ...
local bounds, fail, find, forget, keep, text, whole =
  data.bounds, data.fail, data.find, data.forget, data.keep, data.text, data.whole

local function new_list()
  return {kind = 'list', items = {}, first = 1, last = 0}
end

local function forget_if_empty(key, list)
  if list.last < list.first then
    forget(key)
  end
end

function commands.RPUSH(key, ...)
  key = text(key)
  local list = find(key, 'list') or keep(key, new_list())
  for index = 1, select('#', ...) do
    list.last = list.last + 1
    list.items[list.last] = text((select(index, ...)))
  end
  return list.last - list.first + 1
end

function commands.LPUSH(key, ...)
  key = text(key)
  local list = find(key, 'list') or keep(key, new_list())
  for index = 1, select('#', ...) do
    list.first = list.first - 1
    list.items[list.first] = text((select(index, ...)))
  end
  return list.last - list.first + 1
end

function commands.LPOP(key)
  key = text(key)
  local list = find(key, 'list')
  if not list then return false end
  local item = list.items[list.first]
  list.items[list.first], list.first = nil, list.first + 1
  forget_if_empty(key, list)
  return item
end

function commands.RPOP(key)
  key = text(key)
  local list = find(key, 'list')
  if not list then return false end
  local item = list.items[list.last]
  list.items[list.last], list.last = nil, list.last - 1
  forget_if_empty(key, list)
  return item
end

function commands.LLEN(key)
  local list = find(text(key), 'list')
  return list and list.last - list.first + 1 or 0
end

function commands.LINDEX(key, index)
  local list = find(text(key), 'list')
  index = whole(index)
  if not list then return false end
  return list.items[index < 0 and list.last + 1 + index or list.first + index] or false
end

function commands.LRANGE(key, first, last)
  local list = find(text(key), 'list')
  local low, high = bounds(first, last, list and list.last - list.first + 1 or 0)
  local items = {}
  if low then
    for index = list.first + low, list.first + high do
      items[#items + 1] = list.items[index]
    end
  end
  return items
end

function commands.LSET(key, index, value)
  local list = find(text(key), 'list')
  if not list then fail('ERR no such key') end
  index = whole(index)
  local position = index < 0 and list.last + 1 + index or list.first + index
  if position < list.first or position > list.last then fail('ERR index out of range') end
  list.items[position] = text(value)
  return {ok = 'OK'}
end

function commands.LTRIM(key, first, last)
  key = text(key)
  local list = find(key, 'list')
  local low, high = bounds(first, last, list and list.last - list.first + 1 or 0)
  if not list then return {ok = 'OK'} end
  if not low then
    forget(key)
    return {ok = 'OK'}
  end
  for index = list.first, list.first + low - 1 do list.items[index] = nil end
  for index = list.first + high + 1, list.last do list.items[index] = nil end
  list.first, list.last = list.first + low, list.first + high
  return {ok = 'OK'}
end

function commands.LREM(key, count, value)
  key, count, value = text(key), whole(count), text(value)
  local list = find(key, 'list')
  if not list then return 0 end
  local limit = count == 0 and math.huge or math.abs(count)
  local removed = 0
  if count >= 0 then
    local to = list.first
    for from = list.first, list.last do
      local item = list.items[from]
      if item == value and removed < limit then
        removed = removed + 1
      else
        list.items[to] = item
        to = to + 1
      end
    end
    for index = to, list.last do list.items[index] = nil end
    list.last = to - 1
  else
    local to = list.last
    for from = list.last, list.first, -1 do
      local item = list.items[from]
      if item == value and removed < limit then
        removed = removed + 1
      else
        list.items[to] = item
        to = to - 1
      end
    end
    for index = list.first, to do list.items[index] = nil end
    list.first = to + 1
  end
  forget_if_empty(key, list)
  return removed
end
