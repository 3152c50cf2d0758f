-- Takes one message into the log of its chat: member? accepted before? then a place, live delivery, outbox.
-- KEYS head, members, log, outbox, read, dedupe, dedupe uncertain, typing
-- ARGV sender, event, channel, message id, created at (ms), fingerprint, log length, log seconds, dedupe seconds,
--      1 when the store was asked for an earlier send and has none, epoch and seq that the caller has seen,
--      1 when the sender has read up to the message, LatestMessage
-- Answers {code, ...}: 1 taken (epoch, seq, number, 1 when the sender thereby read messages of others) | 2 repeat (first answer, its outbox entry or nil)
--                      3 role unknown | 4 not a member | 5 head lost | 6 clientMsgId stands for other content
--                      7 the log was rebuilt: only the store knows whether this was accepted before
local role = redis.call('HGET', KEYS[2], ARGV[1])
if not role then return {3} end
if role == 'none' then return {4} end

local first = redis.call('HMGET', KEYS[6], 'fingerprint', 'id', 'epoch', 'seq', 'number', 'at')
if first[1] then
  if first[1] ~= ARGV[6] then return {6} end
  return {2, first[2], first[3], first[4], first[5], first[6], redis.call('HGET', KEYS[4], first[4])}
end

if ARGV[10] ~= '1' and redis.call('EXISTS', KEYS[7]) == 1 then return {7} end

local epoch, seq, number = place(KEYS[1], KEYS[3], KEYS[4], ARGV[3], ARGV[2], ARGV[14], ARGV[7], ARGV[8], ARGV[11], ARGV[12])
if not epoch then return {5} end
redis.call('HSET', KEYS[6], 'fingerprint', ARGV[6], 'id', ARGV[4], 'epoch', epoch, 'seq', seq, 'number', number, 'at', ARGV[5])
redis.call('EXPIRE', KEYS[6], ARGV[9])
redis.call('EXPIRE', KEYS[2], ARGV[8])
-- Who sent types no more, for whoever gets the message: what is typed next is news again.
redis.call('DEL', KEYS[8])
local has_read = 0
if ARGV[13] == '1' then
  -- Who sends has read: the pointer stands on the sender's own message.
  local before = redis.call('HGET', KEYS[5], ARGV[1])
  if tonumber(number) - 1 > tonumber(before and string.match(before, ':(%d+):') or 0) then has_read = 1 end
  redis.call('HSET', KEYS[5], ARGV[1], seq .. ':' .. number .. ':' .. ARGV[5])
  redis.call('EXPIRE', KEYS[5], ARGV[8])
end
return {1, epoch, seq, number, has_read}
