-- Takes an event that is no message into the log of its chat. A change of the members makes what comes with it true in
-- the same step.
-- KEYS head, members, log, outbox, pending change, read, delivered
-- ARGV event, channel, log length, log seconds, epoch and seq that the caller has seen; with a change of the members also
--      their count, then user, role, and what becomes of the user's pointers (join, leave, keep) in turn
-- Answers nil when the head is lost (nothing was done), else {epoch, seq, number}
local epoch, seq, number = place(KEYS[1], KEYS[3], KEYS[4], ARGV[2], ARGV[1], nil, ARGV[3], ARGV[4], ARGV[5], ARGV[6])
if not epoch then return nil end
if ARGV[7] then
  redis.call('HSET', KEYS[1], 'members', ARGV[7])
  for i = 8, #ARGV, 3 do
    local user, role, pointers = ARGV[i], ARGV[i + 1], ARGV[i + 2]
    redis.call('HSET', KEYS[2], user, role)
    -- A membership of before left pointers that are worth nothing now.
    if pointers ~= 'keep' then redis.call('HDEL', KEYS[7], user) end
    if pointers == 'leave' then redis.call('HDEL', KEYS[6], user) end
    -- What was said before is not unread to who joins, and not read by who joins either.
    if pointers == 'join' then redis.call('HSET', KEYS[6], user, '0:' .. number .. ':0') end
  end
  redis.call('EXPIRE', KEYS[2], ARGV[4])
  redis.call('EXPIRE', KEYS[6], ARGV[4])
  if redis.call('EXISTS', KEYS[5]) == 1 then redis.call('HSET', KEYS[5], 'logged', 1) end
end
return {epoch, seq, number}
