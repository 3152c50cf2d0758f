-- Keeps the first answer to a send, as the store has it. KEYS dedupe
-- ARGV fingerprint, message id, epoch, seq, number, created at (ms), seconds
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
redis.call('HSET', KEYS[1], 'fingerprint', ARGV[1], 'id', ARGV[2], 'epoch', ARGV[3], 'seq', ARGV[4], 'number', ARGV[5], 'at', ARGV[6])
redis.call('EXPIRE', KEYS[1], ARGV[7])
return 1
