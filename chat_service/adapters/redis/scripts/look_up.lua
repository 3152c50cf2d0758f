-- What is known of a user in a chat. KEYS members, head, read; ARGV user, then the names of the head's fields
-- Answers {role, pointer, values of the fields}; of who is no member, as far as is known, the role alone
local role = redis.call('HGET', KEYS[1], ARGV[1])
if not role or role == 'none' then return {role} end
local answer = {role, redis.call('HGET', KEYS[3], ARGV[1])}
for place, value in ipairs(redis.call('HMGET', KEYS[2], unpack(ARGV, 2))) do answer[place + 2] = value end
return answer
