-- Moves a read pointer forward, and tells the chat when it moved.
-- KEYS read; ARGV user, seq, number, at (ms), channel, event, seconds
-- Answers the pointer as it stands then, "seq:number:at"
local now = redis.call('HGET', KEYS[1], ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[7])
if now and tonumber(string.match(now, '^%d+')) >= tonumber(ARGV[2]) then return now end
local moved = ARGV[2] .. ':' .. ARGV[3] .. ':' .. ARGV[4]
redis.call('HSET', KEYS[1], ARGV[1], moved)
redis.call('EXPIRE', KEYS[1], ARGV[7])
redis.call('PUBLISH', ARGV[5], ARGV[6])
return moved
