-- A token bucket whose refusals queue, as mesh/token_bucket.py has it for one process and says why.
-- Takes as many as it can of some items that cost the same.
-- The state is {tokens, at (ms), promised until (ms)}, as Redis has it; nil where there is none.
-- Answers the new state, how many were granted, and in how many ms the first of the others is to come again.
local function take_tokens(state, now, rate, burst, items, price, most_wait)
  local tokens = burst
  if state[1] then tokens = math.min(burst, tonumber(state[1]) + math.max(0, now - tonumber(state[2])) * rate / 1000) end
  local promised = tonumber(state[3] or '-1')
  local enough, granted = math.min(price, burst), 0
  while granted < items and tokens >= enough - 0.000001 do
    tokens, granted = tokens - price, granted + 1
  end
  local wait, refused = 0, items - granted
  if refused > 0 then
    local begin = math.max(promised, now - tokens / rate * 1000)
    wait = begin + enough / rate * 1000 - now
    promised = math.min(begin + refused * price / rate * 1000, now + most_wait)
  end
  return {tokens, now, promised}, granted, wait
end
