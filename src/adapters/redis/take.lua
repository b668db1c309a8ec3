-- Reads a record and removes it. KEYS[1] is its name.
local record = redis.call('HGETALL', KEYS[1])
if #record > 0 then
  redis.call('DEL', KEYS[1])
end
return record
