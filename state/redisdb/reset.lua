-- reset.lua: clears the windows and sets in KEYS. ARGV[1]: how many windows there are,
-- in front. Answer: the server's time in seconds and us, and what each window held: a
-- hash, empty where there was none, or 'damaged'.

local now = redis.call('TIME')
local answer = {now[1], now[2]}
for i, key in ipairs(KEYS) do
  if i <= tonumber(ARGV[1]) then
    local window = redis.pcall('HGETALL', key)
    if window.err then
      window = {'damaged'}
    end
    answer[#answer + 1] = window
  end
  redis.call('DEL', key)
end
return answer
