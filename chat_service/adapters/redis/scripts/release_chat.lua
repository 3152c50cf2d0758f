-- Gives up the chat, or the turn in its queue. KEYS lock, queue; ARGV token
-- Answers 1 when the caller held the chat
redis.call('ZREM', KEYS[2], ARGV[1])
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
