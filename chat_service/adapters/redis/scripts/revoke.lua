-- Moves the time before which a user's tokens are revoked forward, beyond every token that was seen lately; returns it.
-- KEYS revoked, fresh; ARGV time (ms), seconds
local before = tonumber(ARGV[1])
local fresh = tonumber(redis.call('ZSCORE', KEYS[2], 'iat') or 0)
if fresh >= before then before = fresh + 1 end
local known = tonumber(redis.call('HGET', KEYS[1], 'all') or 0)
if known > before then before = known end
redis.call('HSET', KEYS[1], 'all', string.format('%d', before))
redis.call('EXPIRE', KEYS[1], ARGV[2])
return before
