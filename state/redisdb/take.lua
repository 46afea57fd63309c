-- take.lua: one message's charges and letters, all or none. What state.Slots and
-- state.Members do in Go is done here too. The script goes on in letters.lua and
-- decide.lua.
--
-- KEYS: the window of each charge, then the sets, then the campaigns of each letter's
-- subject, then the generation of the docs.
-- ARGV: mode, seconds and nanoseconds of the time ('': the server's own), the
-- generation known ('': not asked for), how many charges, how many sets, how many
-- letters, the most members of a set, the most campaigns of a subject and how many of
-- them are never forgotten; for each charge its window's length in ns, a 60th of that
-- and what is left over, max, cost, '1' where it only counts; for each set how long it
-- remembers, in seconds and ns; for each letter the same, its sketch, how near, max,
-- how many recipients, and they; then for each charge of members its number, the
-- number of its set, how many members, and they. Such a charge costs what it finds.
--
-- Modes: take; dry changes nothing; hold charges windows and counts letters but puts
-- no members.
--
-- Answer: 'stale' alone; 'damaged' and the key; else 'ok' or 'full', seconds and
-- nanoseconds; what each charge's window held before; the costs of the charges of
-- members in their order; the numbers of the charges without room, from 0; of each
-- letter a list: its campaign's sketch ('': it has none), how many recipients that had,
-- how many are new, 1 where it is full, and in mode hold those who are new; and then
-- for each charge without room for its cost or one more its number and its window.
--
-- All that can be damaged is read before anything is written, and the server refuses
-- to write (read-only, out of memory) only before a script's first write. So a
-- message is never charged in part.

local ARGV, KEYS, call = ARGV, KEYS, redis.call
local tonumber, floor, fmod = tonumber, math.floor, math.fmod
local mode, s, n = ARGV[1], ARGV[2], ARGV[3]
local charges, sets, letters = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local most_members, most_campaigns, grace = tonumber(ARGV[8]), tonumber(ARGV[9]), tonumber(ARGV[10])
local next_arg = 10 -- the last one read

if ARGV[4] ~= '' and call('GET', KEYS[#KEYS]) ~= ARGV[4] then
  return {'stale'}
end

if s == '' then
  local now = call('TIME')
  s, n = tonumber(now[1]), tonumber(now[2]) * 1000
else
  s, n = tonumber(s), tonumber(n)
end

-- Numbers here are doubles: integers are exact up to 2^53. Amounts are int64, so
-- they are held in two parts: high * 1e9 + low.

local function parts(text)
  if #text <= 9 then
    return 0, tonumber(text)
  end
  return tonumber(text:sub(1, -10)), tonumber(text:sub(-9))
end

local function whole(high, low)
  if high == 0 then
    return low
  end
  return ('%.0f%09.0f'):format(high, low)
end

local function sum(h1, l1, h2, l2)
  local high, low = h1 + h2, l1 + l2
  if low >= 1e9 then
    return high + 1, low - 1e9
  end
  return high, low
end

-- A slot is a time divided by a width, rounded down. sec * 1e9 is exact until the
-- year 2116, as 1e9 is 2^9 * 1953125, and fmod is exact always. The second result is
-- the same for rest ns earlier.
local function divide(sec, ns, width, rest)
  local top = sec * 1e9
  local over = fmod(top, width)
  local q = floor((top - over) / width + 0.5)
  return q + floor((over + ns) / width), q + floor((over + ns - rest) / width)
end

-- moved is the slot of another width in which the last ns of slot k lies.
local function moved(k, old, new)
  local count = k + 1
  local millions = floor(count / 1e6)
  local high, low = floor(old / 1e9), fmod(old, 1e9)
  local ms, ns = millions * low, (count - millions * 1e6) * low
  local sec = count * high + floor(ms / 1000) + floor(ns / 1e9)
  return (divide(sec, fmod(ms, 1000) * 1e6 + fmod(ns, 1e9) - 1, new, 0))
end

-- A window is a hash: w its length in ns, u the sum of its slots, o and n its oldest
-- and newest slot, and each slot's charges under the slot's number.

local damaged -- a key
local windows = {} -- by key

-- slots_of reads all slots of a window, oldest first. There are up to 62.
local function slots_of(key)
  local flat, slots = call('HGETALL', key), {}
  if #flat > 1000 then
    damaged = key
    return slots
  end
  for i = 1, #flat, 2 do
    local k, h, l = tonumber(flat[i]), parts(flat[i + 1])
    if k and h and l then
      slots[#slots + 1] = {k, h, l}
    elseif k or #flat[i] ~= 1 then
      damaged = key
    end
  end
  table.sort(slots, function(a, b) return a[1] < b[1] end)
  return slots
end

-- oldest is the first slot that has not left, of a length as text; and its width.
local function oldest_of(length)
  local high, low = parts(length)
  local over = fmod(high, 60) * 1e9 + low
  local rest = fmod(over, 60)
  local width = (high - fmod(high, 60)) / 60 * 1e9 + (over - rest) / 60
  local _, first = divide(s, n, width, rest)
  return first - 60, width
end

-- settle drops the slots that have left, takes those from the future for now's, and
-- moves all to slots of this length where they were of another. What had left the
-- other length stays forgotten.
local function settle(win, oldest, old)
  local left, width = oldest, nil
  if old ~= win.length then
    left, width = oldest_of(old)
  end
  local kept, last = {}, {}
  win.h, win.l = 0, 0
  for _, x in ipairs(slots_of(win.key)) do
    local k, gone = x[1], x[1] < left
    if width then
      k = moved(k, width, win.width)
    end
    if not gone and k >= oldest then
      k = math.min(k, win.now)
      win.h, win.l = sum(win.h, win.l, x[2], x[3])
      if last[1] == k then
        last[2], last[3] = sum(last[2], last[3], x[2], x[3])
      else
        last = {k, x[2], x[3]}
        kept[#kept + 1] = last
      end
    end
  end
  win.slots, win.oldest, win.newest = kept, kept[1] and kept[1][1], last[1]
end

local function read(key)
  local v = redis.pcall('HMGET', key, 'w', 'u', 'o', 'n')
  local win = {
    key = key, h = 0, l = 0, ah = 0, al = 0, now = 0, length = v[1],
    oldest = tonumber(v[3] or ''), newest = tonumber(v[4] or ''), width = 0, slots = nil,
  }
  windows[key] = win
  if v.err then
    damaged = key
  elseif v[1] then
    win.h, win.l = parts(v[2] or '')
    if not (win.h and win.l and win.oldest and win.newest and tonumber(v[1])) then
      damaged = key
    end
  end
  return win
end

local function advance(win, length, width, rest)
  local old, oldest = win.length, nil
  win.length, win.width = length, width
  win.now, oldest = divide(s, n, width, rest)
  oldest = oldest - 60
  if win.newest and (old ~= length or win.oldest < oldest or win.newest > win.now) then
    settle(win, oldest, old)
  end
end

-- A set is a sorted set of 8-byte hashes. The score is the end of the slot in which
-- a member was last put there, in us since 1970; slots are a 60th of the time that
-- it remembers wide.

local function read_set(key, sec, ns)
  local width = floor((sec * 1e6 + floor(ns / 1000)) / 60)
  local now = s * 1e6 + floor(n / 1000)
  local set = {
    key = key, list = {}, seen = {},
    ttl = 2 * (sec * 1000 + math.ceil(ns / 1e6)),
    now = ('%.0f'):format((floor(now / width) + 1) * width),
    gone = (s - sec) * 1e6 + floor((n - ns) / 1000), -- what ended by then has left
  }
  set.future = redis.pcall('ZRANGEBYSCORE', key, '(' .. set.now, '+inf')
  if set.future.err then
    damaged = key
  end
  return set
end

-- unknown says whether member is not in the set, and lists it to be put there.
local function unknown(set, member)
  local score = call('ZSCORE', set.key, member)
  if score ~= set.now and not set.seen[member] then
    set.seen[member] = true
    set.list[#set.list + 1] = member
  end
  return not score or tonumber(score) <= set.gone
end

-- put makes members known from now on.
local function put(set, members)
  for i = 1, #members, 1000 do -- Lua has room for 8,000 values at once
    local list = {}
    for j = i, math.min(i + 999, #members) do
      list[#list + 1] = set.now
      list[#list + 1] = members[j]
    end
    call('ZADD', set.key, unpack(list))
  end
end

-- trim forgets members that have left, and the oldest where there are too many.
local function trim(set)
  call('ZREMRANGEBYSCORE', set.key, '-inf', set.gone)
  local over = call('ZCARD', set.key) - most_members
  if over > 0 then
    call('ZREMRANGEBYRANK', set.key, 0, over - 1)
  end
  call('PEXPIRE', set.key, set.ttl)
end
