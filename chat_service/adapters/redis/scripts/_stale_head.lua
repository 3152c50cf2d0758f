-- Shared by the scripts that touch the head of a log; stands before each of them when it is loaded.
local function is_stale(epoch, seq, seen_epoch, seen_seq)
  epoch, seen_epoch = tonumber(epoch), tonumber(seen_epoch)
  return epoch < seen_epoch or (epoch == seen_epoch and tonumber(seq) < tonumber(seen_seq))
end
