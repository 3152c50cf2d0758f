-- Moves the delivery pointer of a member forward, and tells the chat when it moved. Who is not known to be a
-- member is ignored: a delivery is a courtesy, not worth a question to the store.
-- KEYS members, delivered; ARGV user, seq, channel, event, seconds
local role = redis.call('HGET', KEYS[1], ARGV[1])
if not role or role == 'none' then return 0 end
local now = redis.call('HGET', KEYS[2], ARGV[1])
if now and tonumber(now) >= tonumber(ARGV[2]) then return 0 end
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
redis.call('EXPIRE', KEYS[2], ARGV[5])
redis.call('PUBLISH', ARGV[3], ARGV[4])
return 1
