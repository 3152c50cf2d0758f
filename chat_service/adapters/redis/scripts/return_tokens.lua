-- Gives tokens back that were taken for nothing. KEYS bucket; ARGV tokens, burst
local tokens = redis.call('HGET', KEYS[1], 'tokens')
-- A bucket that is not remembered is full.
if not tokens then return 0 end
redis.call('HSET', KEYS[1], 'tokens', string.format('%.6f', math.min(tonumber(ARGV[2]), tonumber(tokens) + tonumber(ARGV[1]))))
return 1
