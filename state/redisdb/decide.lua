-- decide.lua: the end of take.lua.

-- Reading.

local wishes, all_sets, member_costs = {}, {}, {}

for i = 1, charges do
  local a, key = next_arg, KEYS[i]
  next_arg = a + 6
  local win = windows[key] or read(key)
  if not damaged then
    advance(win, ARGV[a + 1], tonumber(ARGV[a + 2]), tonumber(ARGV[a + 3]))
  end
  local mh, ml = parts(ARGV[a + 4])
  local h, l = parts(ARGV[a + 5])
  wishes[i] = {win = win, mh = mh, ml = ml, h = h, l = l, only = ARGV[a + 6] == '1', full = false}
end

for i = 1, sets do
  all_sets[i] = read_set(KEYS[charges + i], tonumber(ARGV[next_arg + 1]), tonumber(ARGV[next_arg + 2]))
  next_arg = next_arg + 2
end

local parcels = read_letters(charges + sets)

while not damaged and next_arg < #ARGV do
  local x, set = wishes[tonumber(ARGV[next_arg + 1])], all_sets[tonumber(ARGV[next_arg + 2])]
  local first, count, cost = next_arg + 4, tonumber(ARGV[next_arg + 3]), 0
  next_arg = next_arg + 3 + count
  for i = first, next_arg do
    if unknown(set, ARGV[i]) then
      cost = cost + 1
    end
  end
  if x then
    x.h, x.l = 0, cost
  end
  member_costs[#member_costs + 1] = cost
end

if damaged then
  return {'damaged', damaged}
end

local answer = {'ok', s, n}
for i = 1, charges do
  answer[3 + i] = whole(wishes[i].win.h, wishes[i].win.l)
end

-- Deciding. What each window is to be charged is left in its ah, al.

local function room(x, h, l)
  h, l = sum(x.win.h, x.win.l, h, l)
  return h < x.mh or (h == x.mh and l <= x.ml)
end

local full = {}
for i = 1, charges do
  local x = wishes[i]
  local win = x.win
  if not x.only and x.h + x.l > 0 then
    win.ah, win.al = sum(win.ah, win.al, x.h, x.l)
    if not room(x, win.ah, win.al) then
      full[#full + 1], x.full = i - 1, true
    end
  end
end
local fits = #full == 0 and not parcels.full
for i = 1, charges do
  local x = wishes[i]
  local win = x.win
  if fits and x.only and x.h + x.l > 0 then
    local h, l = sum(win.ah, win.al, x.h, x.l)
    if room(x, h, l) then
      win.ah, win.al = h, l
    else
      full[#full + 1], x.full = i - 1, true
    end
  end
end

-- Writing.

local function live(win)
  call('PEXPIRE', win.key, math.ceil(tonumber(win.length) / 5e5)) -- twice the length, in ms
end

-- write puts a window that was settled in the place of what was there.
local function write(win)
  call('DEL', win.key)
  if #win.slots == 0 then
    return
  end
  local list = {'w', win.length, 'u', whole(win.h, win.l), 'o', win.oldest, 'n', win.newest}
  for _, x in ipairs(win.slots) do
    list[#list + 1] = x[1]
    list[#list + 1] = whole(x[2], x[3])
  end
  call('HSET', win.key, unpack(list))
  live(win)
end

local function charge(win)
  local slot, cost = win.now, whole(win.ah, win.al)
  win.h, win.l = sum(win.h, win.l, win.ah, win.al)
  if win.newest == slot then
    call('HINCRBY', win.key, slot, cost)
    call('HINCRBY', win.key, 'u', cost)
    return
  end
  win.oldest, win.newest = win.oldest or slot, slot
  call('HSET', win.key, 'w', win.length, 'u', whole(win.h, win.l), 'o', win.oldest, 'n', slot, slot, cost)
  live(win)
end

if mode ~= 'dry' then
  for _, win in pairs(windows) do
    if win.slots then
      write(win)
    end
    if fits and win.ah + win.al > 0 then
      charge(win)
    end
  end
  for _, set in ipairs(all_sets) do
    put(set, set.future)
    if fits and mode == 'take' and #set.list > 0 then
      put(set, set.list)
      trim(set)
    end
  end
  for _, x in ipairs(fits and parcels or {}) do
    send(x)
  end
end

-- Answering.

if not fits then
  answer[1] = 'full'
end
answer[#answer + 1] = member_costs
answer[#answer + 1] = full
for _, x in ipairs(parcels) do
  answer[#answer + 1] = told(x)
end
for i = 1, charges do
  local x = wishes[i]
  if x.full or not room(x, 0, 1) then
    answer[#answer + 1] = i - 1
    answer[#answer + 1] = call('HGETALL', x.win.key)
  end
end
return answer
