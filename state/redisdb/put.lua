-- put.lua: changes one doc, if nobody else has. ARGV[4]: its field; ARGV[5]: the
-- revision that it must have; ARGV[6]: "REVISION DATA", '' to delete it; ARGV[7]: the
-- channel.
-- Answer: 'ok'; 'conflict' and the revision that it has; or 'behind', or 'other'.

local where = stand()
if where ~= 'ok' then
  return {where}
end
local has = revision(ARGV[4])
if has ~= tonumber(ARGV[5]) then
  return {'conflict', has}
end
set(current, ARGV[1], ARGV[4], ARGV[6] ~= '' and ARGV[6])
trim()
call('PUBLISH', ARGV[7], current + 1)
return {'ok'}
