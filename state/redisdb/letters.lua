-- letters.lua: what state.Campaigns does in Go.
--
-- A subject's campaigns are a sorted set of sketches, of 64 hex digits, in the order of
-- their last letters. A campaign's recipients are a set, whose key is not among KEYS:
-- it has the same subject in braces, and so the same slot. A campaign without
-- recipients is over, whether it is still listed or not.

local differing -- by the codes of two hex digits, in how many bits they differ

-- differences makes that. A code that is of no digit differs in all.
local function differences()
  local code, odd, bits = {}, {}, {}
  for x = 0, 15 do
    code[x], odd[x], bits[x] = x + (x < 10 and 48 or 87), x % 2, {}
  end
  local none, rows = {__index = function() return 256 end}, {}
  for x = 0, 15 do
    local row, mine, half = setmetatable({}, none), bits[x], bits[(x - odd[x]) / 2]
    for y = 0, 15 do
      local n = 0
      if x + y > 0 then
        n = half[(y - odd[y]) / 2]
      end
      if odd[x] ~= odd[y] then
        n = n + 1
      end
      mine[y], row[code[y]] = n, n
    end
    rows[code[x]] = row
  end
  return rows
end

-- opening is how many bits of the first 24 digits differ; r are the rows of the letter's
-- own digits. Of letters that have nothing in common it is 48, so that this alone tells
-- most of them, without a loop.
local function opening(r, a, b, c, d, e, f, g, h, i, j, k, l, m, o, p, q, t, u, v, w, x, y, z, aa)
  return r[1][a] + r[2][b] + r[3][c] + r[4][d] + r[5][e] + r[6][f] + r[7][g] + r[8][h]
    + r[9][i] + r[10][j] + r[11][k] + r[12][l] + r[13][m] + r[14][o] + r[15][p] + r[16][q]
    + r[17][t] + r[18][u] + r[19][v] + r[20][w] + r[21][x] + r[22][y] + r[23][z] + r[24][aa]
end

-- distance is how many bits of a sketch differ; over most it may be less than that.
local function distance(r, sketch, most)
  local d = opening(r, sketch:byte(1, 24))
  for i = 25, 64 do
    if d > most then
      break
    end
    d = d + r[i][sketch:byte(i)]
  end
  return d
end

local function rows_of(sketch)
  differing = differing or differences()
  local rows = {sketch:byte(1, 64)}
  for i = 1, 64 do
    rows[i] = differing[rows[i]]
  end
  return rows
end

-- recipients_key: list's is o2n:campaigns/{SUBJECT}.
local function recipients_key(list, sketch)
  return 'o2n:campaign/' .. sketch .. list:sub(14)
end

-- recipients is how many a campaign has.
local function recipients(x, sketch)
  local key = recipients_key(x.list, sketch)
  local count = redis.pcall('ZCOUNT', key, x.gone, '+inf')
  if type(count) == 'table' then
    damaged = key
    return 0
  end
  return count
end

-- nearest finds a letter's campaign among those of its subject.
local function nearest(x)
  local sketches = redis.pcall('ZRANGE', x.list, 0, -1)
  if sketches.err then
    damaged = x.list
    return
  end
  if #sketches == 0 then
    return
  end
  local rows, best = rows_of(x.sketch), x.near
  for _, sketch in ipairs(sketches) do
    local d = distance(rows, sketch, best)
    if d <= best then
      local count = recipients(x, sketch)
      if count > 0 and (not x.of or d < best or count > x.known or (count == x.known and sketch < x.of)) then
        x.of, x.known, best = sketch, count, d
      end
    end
  end
end

-- match finds a letter's campaign, or begins it, and counts whom it does not know.
local function match(x, first, last)
  x.known = recipients(x, x.sketch)
  if x.known > 0 then
    x.of = x.sketch
  else
    nearest(x)
  end
  x.of = x.of or (first <= last and x.sketch)
  if damaged or first > last then
    return
  end
  x.set = read_set(recipients_key(x.list, x.of), x.sec, x.ns)
  for i = first, last do
    if not damaged and unknown(x.set, ARGV[i]) then
      x.fresh[#x.fresh + 1] = ARGV[i]
    end
  end
  x.full = x.known + #x.fresh > x.max
end

-- read_letters reads them; key is the last of KEYS before theirs.
local function read_letters(key)
  local list = {full = false}
  for i = 1, letters do
    local a = next_arg
    local sec, ns = tonumber(ARGV[a + 1]), tonumber(ARGV[a + 2])
    local x = {
      list = KEYS[key + i], sec = sec, ns = ns, gone = ('(%.0f'):format((s - sec) * 1e6 + floor((n - ns) / 1000)),
      sketch = ARGV[a + 3], near = tonumber(ARGV[a + 4]), max = tonumber(ARGV[a + 5]),
      of = nil, known = 0, fresh = {}, full = false, set = nil,
    }
    next_arg = a + 6 + tonumber(ARGV[a + 6])
    if not damaged then
      match(x, a + 7, next_arg)
    end
    list[i] = x
    list.full = list.full or x.full
  end
  return list
end

local function forget(x, sketch)
  call('DEL', recipients_key(x.list, sketch))
  call('ZREM', x.list, sketch)
end

-- bound forgets what is too much: campaigns that are over, which are those whose last
-- letter is oldest; if there are none, of those that may go the one with the fewest
-- recipients.
local function bound(x)
  local most, least, fewest = call('ZCARD', x.list) - grace, nil, nil
  for i = 0, most - 1 do
    local sketch = call('ZRANGE', x.list, i, i)[1]
    local count = recipients(x, sketch)
    if not fewest or count < fewest then
      least, fewest = sketch, count
    end
    if count < 2 then
      break -- none has fewer that is not over
    end
  end
  forget(x, least)
end

-- send puts a letter's recipients into its campaign, which becomes the last one.
local function send(x)
  if not x.set then
    return
  end
  put(x.set, x.set.future)
  if #x.set.list > 0 then
    put(x.set, x.set.list)
    trim(x.set)
  end
  local key = x.list
  local last = call('ZREVRANGE', key, 0, 0, 'WITHSCORES')
  if last[1] ~= x.of then
    call('ZADD', key, ('%.0f'):format(tonumber(last[2] or 0) + 1), x.of)
    while call('ZCARD', key) > most_campaigns do
      bound(x)
    end
  end
  if last[1] ~= x.of or #x.set.list > 0 then
    call('PEXPIRE', key, x.set.ttl)
  end
end

-- told is what is answered of a letter.
local function told(x)
  local answer = {x.of or '', x.known, #x.fresh, x.full and 1 or 0}
  for _, member in ipairs(mode == 'hold' and x.fresh or {}) do
    answer[#answer + 1] = member
  end
  return answer
end
