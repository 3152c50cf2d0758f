-- A device of a user types, or stopped. The user types as long as one of them does.
-- KEYS typing; ARGV device, 1 or 0, how long typing lasts (ms), within what time the same is not news (ms),
--      devices that are kept
-- Answers 1 when the chat is to be told. Time is Redis's own, so that all callers share one clock.
local key, device = KEYS[1], ARGV[1]
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
redis.call('ZREMRANGEBYSCORE', key, '-inf', now)
if ARGV[2] == '0' then
  return redis.call('ZREM', key, device) == 1 and redis.call('EXISTS', key) == 0 and 1 or 0
end
local last = redis.call('ZREVRANGE', key, 0, 0, 'WITHSCORES')[2]
redis.call('ZADD', key, now + ARGV[3], device)
redis.call('ZREMRANGEBYRANK', key, 0, -1 - ARGV[5])
redis.call('PEXPIRE', key, ARGV[3])
return last and tonumber(last) > now + ARGV[3] - ARGV[4] and 0 or 1
