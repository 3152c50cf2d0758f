-- Gives a chat a head unless it has one. KEYS head; ARGV epoch, seq, number, member count
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
redis.call('HSET', KEYS[1], 'epoch', ARGV[1], 'seq', ARGV[2], 'number', ARGV[3], 'members', ARGV[4])
return 1
