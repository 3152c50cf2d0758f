-- Gives a chat a head unless it has one.
-- KEYS head, unsure; ARGV epoch, seq, number, member count, seconds for which sends of before may come again (0: none)
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
redis.call('HSET', KEYS[1], 'epoch', ARGV[1], 'base', ARGV[2], 'seq', ARGV[2], 'number', ARGV[3], 'members', ARGV[4])
if ARGV[5] ~= '0' then redis.call('SET', KEYS[2], '1', 'EX', ARGV[5]) end
return 1
