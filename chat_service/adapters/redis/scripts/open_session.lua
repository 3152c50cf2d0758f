-- Adds or renews a session of a user. KEYS sessions, online; ARGV connection, now (ms), seconds, limit (0: none),
--                                     when its client last did something (ms, 0: not known),
--                                     1 when it does not receive all chats of the user
-- Answers 0 when the user has as many sessions as the limit allows, else 1
local now = tonumber(ARGV[2])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
local limit = tonumber(ARGV[4])
if limit > 0 and not redis.call('ZSCORE', KEYS[1], ARGV[1]) and redis.call('ZCARD', KEYS[1]) >= limit then return 0 end
redis.call('ZADD', KEYS[1], now + ARGV[3] * 1000, ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[3])
-- The latest of all sessions of the user, and never later than now: an edge's clock may be ahead. Behind it "p" where
-- that session is a partial one.
local known = redis.call('GET', KEYS[2]) or '0'
local before = tonumber(string.match(known, '^%d+')) or 0
local active = math.min(tonumber(ARGV[5]), now)
if active == 0 and before == 0 then active = now end
if active >= before then known = string.format('%.0f', active) .. (ARGV[6] == '1' and 'p' or '') end
redis.call('SET', KEYS[2], known, 'EX', ARGV[3])
return 1
