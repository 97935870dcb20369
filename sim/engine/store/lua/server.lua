-- The server: allowed commands, scripts, answers in RESP, and the functions that Python calls.

local commands, data = ...
local clock, digits, fail, text = data.clock, data.digits, data.fail, data.text

-- Scripts make functions at each call, and LuaJIT compiles those again and again; its interpreter alone is faster.
if jit then jit.off() end
-- Scripts leave much behind, and the data is small: more memory saves a seventh of Lua's time.
collectgarbage('setpause', 400)

local FULL = "OOM command not allowed when used memory > 'maxmemory'."
local REPLICA = "READONLY You can't write against a read only replica."

local ABORTED = 'ERR the script was aborted, and what it wrote stays'

local writes, grows = {}, {}
local is_full, is_replica = false, false
local has_written = false -- a script that has written may go on when Redis is full
local abort_in = false    -- number of writes that a script may make before it is aborted
local runs_script = false

function commands.TIME()
  return {digits(math.floor(clock.us / 1e6)), digits(clock.us % 1e6)}
end

function commands.PING()
  return {ok = 'PONG'}
end

local FREEING = 'DEL UNLINK RENAME PEXPIRE EXPIRE PERSIST FLUSHALL LPOP RPOP LTRIM LREM HDEL SREM ZREM XDEL'
local GROWING = 'SET SETEX SETNX INCR INCRBY RPUSH LPUSH LSET HSET HSETNX HINCRBY SADD ZADD XADD'
for name in string.gmatch(FREEING, '%S+') do
  writes[name] = true
end
for name in string.gmatch(GROWING, '%S+') do
  writes[name], grows[name] = true, true
end

-- Smallest numbers of arguments of the commands that take any number of them.
local LEAST = {
  DEL = 1, UNLINK = 1, EXISTS = 1, LPUSH = 2, RPUSH = 2, HDEL = 2, HMGET = 2, SADD = 2, SREM = 2, ZREM = 2, ZMSCORE = 2,
  XDEL = 2,
}

-- Returns the function of a command that may be run now.
local function allowed(name, count)
  local command = commands[name]
  if not command then
    name = string.upper(text(name))
    command = commands[name]
  end
  if not command then
    data.lacks(name)
  end
  local least = LEAST[name]
  if least and count < least then
    fail("ERR wrong number of arguments for '" .. string.lower(name) .. "' command")
  end
  if writes[name] then
    if is_replica then fail(REPLICA) end
    if is_full and grows[name] and not has_written then fail(FULL) end
    has_written = true
    if abort_in and runs_script then
      abort_in = abort_in - 1
      if abort_in < 0 then
        abort_in = false
        fail(ABORTED)
      end
    end
  end
  return command
end

-- Scripts

local redis = {}
local scripts = {}

function redis.call(name, ...)
  return allowed(name, select('#', ...))(...)
end

function redis.pcall(name, ...)
  local is_done, answer = pcall(redis.call, name, ...)
  if is_done or type(answer) == 'table' and answer.err then
    return answer
  end
  error(answer, 0)
end

function redis.error_reply(words)
  return {err = words}
end

function redis.status_reply(words)
  return {ok = words}
end

local environment = {
  redis = redis, string = string, table = table, math = math, pairs = pairs, ipairs = ipairs, tonumber = tonumber,
  tostring = tostring, type = type, error = error, pcall = pcall, select = select, unpack = unpack, next = next,
  assert = assert, setmetatable = setmetatable, rawget = rawget, rawset = rawset,
}

-- RESP, version 2

local write

local function write_table(value, out)
  if value.err then
    out[#out + 1] = '-' .. string.gsub(value.err, '[\r\n]', ' ') .. '\r\n'
  elseif value.ok then
    out[#out + 1] = '+' .. value.ok .. '\r\n'
  else
    out[#out + 1] = '*' .. #value .. '\r\n'
    for index = 1, #value do write(value[index], out) end
  end
end

function write(value, out)
  local kind = type(value)
  if kind == 'string' then
    out[#out + 1] = '$' .. #value .. '\r\n' .. value .. '\r\n'
  elseif kind == 'number' then
    out[#out + 1] = ':' .. digits(value < 0 and math.ceil(value) or math.floor(value)) .. '\r\n'
  elseif kind == 'table' then
    write_table(value, out)
  elseif value then
    out[#out + 1] = ':1\r\n'
  else
    out[#out + 1] = '$-1\r\n'
  end
end

local function resp(is_done, value)
  if not is_done then
    value = type(value) == 'table' and value.err and value or {err = 'ERR ' .. tostring(value)}
  end
  local out = {}
  write(value, out)
  return table.concat(out)
end

-- Functions that Python calls

local store = {}

local function set_time(microseconds)
  clock.us = microseconds
  clock.ms = math.floor(microseconds / 1000)
  data.forget_expired()
end

function store.set_state(full, replica)
  is_full, is_replica = full, replica
end

-- Lets the next script that makes more writes than this end with an error; `false` lets no script end so. Returns true if no
-- script has ended so since the last call asked for it.
function store.abort_after(count)
  local was_spared = abort_in and true or false
  abort_in = count
  return was_spared
end

-- Keeps a copy of the data under a name, and puts it back.
local copies = {}

function store.keep_copy(name)
  copies[name] = data.copy()
end

function store.restore(name)
  data.restore(copies[name])
  data.touched = {}
end

-- Returns an answer in RESP, and what else is to be done: "unknown" when there was a command or an option that the store
-- does not have, "touched" when streams got entries, nil for nothing.
local function answered(is_done, value)
  return resp(is_done, value), data.unknown and 'unknown' or data.touched[1] and 'touched' or nil
end

-- Runs a command at a time in Unix microseconds.
function store.command(microseconds, name, ...)
  set_time(microseconds)
  has_written = false
  return answered(pcall(redis.call, name, ...))
end

-- Returns a script as a function. The script's functions and constants are created only once, here; Redis creates them at
-- each call.
local function compiled(functions, body)
  local make = loadstring(functions .. '\nreturn function()\n' .. body .. '\nend', '@user_script')
  return make and setfenv(make, environment)()
end

-- Compiles a script and stores it under its hash. The script comes in two parts; the first has only functions and
-- constants. Returns an error in words, or nil.
function store.load(sha, functions, body)
  local script, problem = compiled(functions, body), nil
  if not script then -- the script has an error, or more functions than one Lua function may use
    script, problem = loadstring(functions .. body, '@user_script')
    if not script then return problem end
    setfenv(script, environment)
  end
  scripts[sha] = script
end

function store.forget_scripts()
  scripts = {}
end

-- Runs a script at a time in Unix microseconds; the inputs are `count` keys, and then the arguments.
function store.run(microseconds, sha, count, ...)
  local script = scripts[sha]
  if not script then
    return '-NOSCRIPT No matching script. Please use EVAL.\r\n', nil
  end
  set_time(microseconds)
  has_written = false
  local keys, arguments = {}, {...}
  for index = 1, count do keys[index] = arguments[index] end
  environment.KEYS, environment.ARGV = keys, {select(count + 1, ...)}
  runs_script = true
  local is_done, answer = pcall(script)
  runs_script = false
  return answered(is_done, answer)
end

function store.unknown()
  local name = data.unknown
  data.unknown = nil
  return name
end

-- Returns the streams that got entries, separated by NUL, or nil. A stream may be named twice.
function store.touched()
  local touched = data.touched
  if #touched == 0 then
    return nil
  end
  data.touched = {}
  return table.concat(touched, '\0')
end

function store.use_json(decode, encode)
  environment.cjson = {decode = decode, encode = encode}
end

return store
