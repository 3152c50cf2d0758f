-- Takes its turn in the queue for a chat, and the chat once it is first and nobody holds it. Call it again until then.
-- KEYS lock, queue; ARGV token, longest wait (ms), longest hold (ms), longest queue
-- Answers 0 when the caller holds the chat, its place in the queue (from 1), or -1 when the queue is full
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + tonumber(time[2]) / 1000
-- All may wait equally long, so the order of giving up is that of coming. Whoever is over the time has given up.
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', string.format('%.3f', now))
if not redis.call('ZSCORE', KEYS[2], ARGV[1]) then
  if redis.call('ZCARD', KEYS[2]) >= tonumber(ARGV[4]) then return -1 end
  redis.call('ZADD', KEYS[2], string.format('%.3f', now + ARGV[2]), ARGV[1])
  redis.call('PEXPIRE', KEYS[2], ARGV[2] + 1000)
end
local place = redis.call('ZRANK', KEYS[2], ARGV[1])
if place == 0 and redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[3]) then
  redis.call('ZREM', KEYS[2], ARGV[1])
  return 0
end
return place + 1
