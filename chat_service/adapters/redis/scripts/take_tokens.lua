-- Takes tokens for some items of the same price. Time is Redis's own, so that all callers share one clock.
-- KEYS bucket; ARGV tokens per second, burst, items, price of each, longest wait (ms)
-- Answers {how many are granted, ms until the first of the others is to come again}
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + tonumber(time[2]) / 1000
local rate, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local state = redis.call('HMGET', KEYS[1], 'tokens', 'at', 'promised')
local kept, granted, wait = take_tokens(state, now, rate, burst, tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]))
redis.call('HSET', KEYS[1], 'tokens', string.format('%.6f', kept[1]), 'at', string.format('%.3f', kept[2]),
  'promised', string.format('%.3f', kept[3]))
-- A bucket that is full again, and has promised nothing, need not be remembered.
redis.call('PEXPIRE', KEYS[1], math.ceil(math.max((burst - kept[1]) / rate * 1000, kept[3] - now)) + 1000)
return {granted, tostring(wait)}
