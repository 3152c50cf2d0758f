-- Removes a member of a sorted set if its score is still what the caller saw. KEYS set; ARGV member, score
if redis.call('ZSCORE', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
return redis.call('ZREM', KEYS[1], ARGV[1])
