-- Moves the time before which a user's tokens are revoked forward. KEYS revoked; ARGV time (ms), seconds
local known = redis.call('HGET', KEYS[1], 'all')
if not known or tonumber(known) < tonumber(ARGV[1]) then redis.call('HSET', KEYS[1], 'all', ARGV[1]) end
redis.call('EXPIRE', KEYS[1], ARGV[2])
return 1
