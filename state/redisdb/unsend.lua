-- unsend.lua: takes a letter back. KEYS: the campaigns of its subject; ARGV: its
-- campaign's sketch, and the recipients who were new to it. A campaign that was
-- forgotten for it stays so, and who was not new counts from the letter on.

local call, key = redis.call, 'o2n:campaign/' .. ARGV[1] .. KEYS[1]:sub(14)
for i = 2, #ARGV do
  call('ZREM', key, ARGV[i])
end
if call('EXISTS', key) == 0 then
  call('ZREM', KEYS[1], ARGV[1])
end
return {}
