-- Finds the entry of a message in the recent log, the newest first, without moving the log to the caller.
-- KEYS log; ARGV message id, stream id to begin at ("" for the newest)
-- Answers the first entry that holds the id as a protobuf field 1 of 24 bytes, or nil. The content of a message may
-- look like that too: the caller decodes the entry, and asks again below it.
local wanted = '\10\24' .. ARGV[1]
local from = ARGV[2] ~= '' and ARGV[2] or '+'
while true do
  local rows = redis.call('XREVRANGE', KEYS[1], from, '-', 'COUNT', 32)
  for _, row in ipairs(rows) do
    if string.find(row[2][2], wanted, 1, true) then return row[2][2] end
  end
  if #rows < 32 then return nil end
  from = '(' .. rows[#rows][1]
end
