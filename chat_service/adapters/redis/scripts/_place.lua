-- Shared by the scripts that add to the log of a chat; stands before each of them when it is loaded.
-- The position is appended to the encoded ChatEvent as three fixed64 fields (13 epoch, 14 seq, 15 number), which
-- protobuf allows in any order: so the bytes and the place are made in one step and encoded nowhere twice.
-- A head below what the caller has seen is as good as none: this Redis came back older than it was.
-- A message has a `latest`: an encoded LatestMessage, whose place is appended likewise (4 seq).
local function place(head_key, log_key, outbox_key, channel, event, latest, log_length, log_seconds, seen_epoch, seen_seq)
  local head = redis.call('HMGET', head_key, 'epoch', 'seq', 'number')
  if not head[1] or is_stale(head[1], head[2], seen_epoch, seen_seq) then return nil end
  local seq = tonumber(head[2]) + 1
  local number = tonumber(head[3]) + (latest and 1 or 0)
  local entry = event
    .. '\105' .. struct.pack('<I8', tonumber(head[1]))
    .. '\113' .. struct.pack('<I8', seq)
    .. '\121' .. struct.pack('<I8', number)
  -- "%.0f": tostring would write large numbers as 1e+06.
  local seq_text = string.format('%.0f', seq)
  if latest then
    latest = latest .. '\33' .. struct.pack('<I8', seq)
    redis.call('HSET', head_key, 'seq', seq_text, 'number', string.format('%.0f', number), 'latest', latest)
  else
    redis.call('HSET', head_key, 'seq', seq_text)
  end
  redis.call('XADD', log_key, 'MAXLEN', '~', log_length, seq_text .. '-0', 'e', entry)
  redis.call('EXPIRE', log_key, log_seconds)
  redis.call('HSET', outbox_key, seq_text, entry)
  redis.call('PUBLISH', channel, entry)
  return head[1], seq_text, string.format('%.0f', number)
end
