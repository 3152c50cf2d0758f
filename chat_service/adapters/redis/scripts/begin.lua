-- Gives a chat a head unless it has one that is not below what the caller has seen.
-- KEYS head, dedupe uncertain, log, members, read, delivered; ARGV epoch, seq, number, member count, seconds for which sends of before may come again
-- (0: none), epoch and seq that the caller has seen
local now = redis.call('HMGET', KEYS[1], 'epoch', 'seq')
if now[1] and not is_stale(now[1], now[2], ARGV[6], ARGV[7]) then return 0 end
-- A Redis that came back older than it was may have old roles, of people who are out: what was cached with an old
-- head is asked of the store again.
if now[1] then redis.call('DEL', KEYS[4], KEYS[5], KEYS[6]) end
-- A recent log without its head, or with an old one, may lack its end.
redis.call('DEL', KEYS[1], KEYS[3])
redis.call('HSET', KEYS[1], 'epoch', ARGV[1], 'base', ARGV[2], 'seq', ARGV[2], 'number', ARGV[3], 'members', ARGV[4])
if ARGV[5] ~= '0' then redis.call('SET', KEYS[2], '1', 'EX', ARGV[5]) end
return 1
