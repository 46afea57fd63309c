-- restore.lua: puts back docs that a host still has. ARGV[4]: the channel; then field
-- and "REVISION DATA" of each. What is here in that revision or a later one stays, and
-- so does what was deleted here. Answer: 'ok' and how many were put back.

local n, back = current, 0
for i = 5, #ARGV, 2 do
  local field, value = ARGV[i], ARGV[i + 1]
  if not call('ZSCORE', gone, field) and revision(field) < tonumber(value:match('^(%d+) ')) then
    n, back = set(n, ARGV[1] .. ('%x'):format(i), field, value), back + 1
  end
end
if back > 0 then
  trim()
  call('PUBLISH', ARGV[4], n)
end
return {'ok', back}
