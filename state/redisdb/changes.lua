-- changes.lua: what has changed since a generation.
-- ARGV[4]: how many changes at most; ARGV[5]: '1' to read from the generation given
-- on without looking at the mark.
-- Answer: 'ok', the generation read up to, and field and value of each change ('' for
-- a deletion), with the whole of gen in front of them when there are no more; or
-- 'behind', or 'other'.

local most, after = tonumber(ARGV[4]), ARGV[2]
if ARGV[5] ~= '1' and stand() ~= 'ok' then
  return {stand()}
end
local list = call('ZRANGEBYSCORE', log, '(' .. after, '+inf', 'WITHSCORES', 'LIMIT', 0, most)
local answer = {'ok', after, ''}
if #list < 2 * most then
  answer[3] = call('GET', gen)
end
for i = 1, #list, 2 do
  answer[#answer + 1] = list[i]
  answer[#answer + 1] = call('HGET', docs, list[i]) or ''
  answer[2] = list[i + 1]
end
return answer
