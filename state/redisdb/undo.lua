-- undo.lua: takes charges back, as state.Slots.Undo does: nothing where the charge has
-- left or the window's length has changed. KEYS: windows; ARGV: for each its length in
-- ns, the slot and the charge.

local call = redis.call

local function least(a, b) -- of two amounts as text
  if #a < #b or (#a == #b and a < b) then
    return a
  end
  return b
end

for i = 1, #KEYS do
  local key, length, slot, cost = KEYS[i], ARGV[3 * i - 2], ARGV[3 * i - 1], ARGV[3 * i]
  local has = call('HMGET', key, 'w', slot)
  if has[1] == length and has[2] then
    local back = least(has[2], cost)
    call('HINCRBY', key, 'u', '-' .. back)
    if back == has[2] then
      call('HDEL', key, slot)
    else
      call('HINCRBY', key, slot, '-' .. back)
    end
    if call('HGET', key, 'u') == '0' then
      call('DEL', key)
    end
  end
end
return {}
