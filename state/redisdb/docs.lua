-- docs.lua: what every script about docs begins with.
-- KEYS: docs, log, gone, marks, gen. ARGV[1]: a mark for the next generation;
-- ARGV[2], ARGV[3]: the caller's generation and mark (-1 when he has none).
--
-- Each change makes a generation, and each generation has a mark that nobody can
-- guess. Who knows a generation whose mark is not among marks has seen changes that
-- this server no longer knows of: it was emptied, restored from a backup, or it is a
-- replica that had not got them yet. The marks of the last 1000 are kept, and so long
-- are names of deleted docs: who is further behind reads everything anew.

local docs, log, gone, marks, gen = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local call = redis.call
local kept = 1000

local function generation()
  local text = call('GET', gen)
  if not text then
    call('SET', gen, '0 ' .. ARGV[1])
    call('ZADD', marks, 0, ARGV[1])
    return 0
  end
  return tonumber(text:match('^(%d+) %x+$'))
end

-- stand is where the caller stands: 'ok', 'behind' or 'other' (another history).
local function stand()
  local n = tonumber(ARGV[2])
  local mark = call('ZSCORE', marks, ARGV[3])
  if mark and tonumber(mark) == n then
    return 'ok'
  end
  local lowest = call('ZRANGE', marks, 0, 0, 'WITHSCORES')[2]
  if lowest and n < tonumber(lowest) then
    return 'behind'
  end
  return 'other'
end

-- set writes one change; value is false for a deletion. It returns the generation.
local function set(n, mark, field, value)
  n = n + 1
  if value then
    call('HSET', docs, field, value)
    call('ZREM', gone, field)
  else
    call('HDEL', docs, field)
    call('ZADD', gone, n, field)
  end
  call('ZADD', log, n, field)
  call('ZADD', marks, n, mark)
  call('SET', gen, n .. ' ' .. mark)
  return n
end

-- trim forgets marks, and deleted docs as old as them.
local function trim()
  local over = call('ZCARD', marks) - kept
  if over <= 0 then
    return
  end
  call('ZREMRANGEBYRANK', marks, 0, over - 1)
  local lowest = call('ZRANGE', marks, 0, 0, 'WITHSCORES')[2]
  for _, field in ipairs(call('ZRANGEBYSCORE', gone, '-inf', '(' .. lowest)) do
    call('ZREM', log, field)
  end
  call('ZREMRANGEBYSCORE', gone, '-inf', '(' .. lowest)
end

local function revision(field)
  local value = call('HGET', docs, field)
  return value and tonumber(value:match('^(%d+) ')) or 0
end

local current = generation()
if not current then
  return {'damaged'}
end
