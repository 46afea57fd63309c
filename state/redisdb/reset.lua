-- reset.lua: clears the windows and sets in KEYS, and what the last of KEYS lists: the
-- subject's campaigns. ARGV[1]: how many windows there are, in front. Answer: the
-- server's time in seconds and us, and what each window held: a hash, empty where
-- there was none, or 'damaged'.

local now = redis.call('TIME')
local answer = {now[1], now[2]}
local campaigns = redis.pcall('ZRANGE', KEYS[#KEYS], 0, -1)
for _, sketch in ipairs(campaigns.err and {} or campaigns) do
  redis.call('DEL', 'o2n:campaign/' .. sketch .. KEYS[#KEYS]:sub(14))
end
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
