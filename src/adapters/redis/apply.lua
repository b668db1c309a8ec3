-- Does a batch, whole or not at all, and answers {number of the guard that did not hold or -1, time}.
--
-- KEYS  the distinct names: first the records that are written, then the indexes that are, then the streams, then the rest.
-- ARGV  1 how many records are written, 2 how many indexes are, 3 how many streams are, 4 where the times begin,
--       then the number of guards and the guards (and behind them whom to tell of what), the number of writes and the writes,
--       and the times: pairs of (place in ARGV, milliseconds from now). A field list ends with a slot for `rev`.

local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

local place = 4
local function word()
  place = place + 1
  return ARGV[place]
end
local function number()
  return tonumber(word())
end

for guard = 1, number() do
  local kind, key = word(), KEYS[number()]
  local holds
  if kind == 'absent' then
    holds = redis.call('EXISTS', key) == 0
  elseif kind == 'present' then
    holds = redis.call('EXISTS', key) == 1
  elseif kind == 'tell' then
    redis.call('PUBLISH', 'gk:told', key)
    holds = true
  else
    local value = redis.call('HGET', key, word())
    if kind == 'equals' then
      holds = value == word()
    elseif kind == 'missing' then
      holds = not value
    else -- passed; no time has more than 15 digits before the year 33658, and so many a double holds exactly
      holds = value and #value <= 15 and string.find(value, '^%d+$') and tonumber(value) <= now
    end
  end
  if not holds then
    return { guard - 1, now }
  end
end

-- These look at the type of everything that will be written: a wrong one ends the script here, before the first write.
local revs = {}
for n = 1, tonumber(ARGV[1]) do
  revs[n] = tonumber(redis.call('HGET', KEYS[n], 'rev') or 0) or 0
end
for n = ARGV[1] + 1, ARGV[1] + ARGV[2] do
  redis.call('ZCARD', KEYS[n])
end
for n = ARGV[1] + ARGV[2] + 1, ARGV[1] + ARGV[2] + ARGV[3] do
  redis.call('XLEN', KEYS[n])
end

for n = tonumber(ARGV[4]), #ARGV, 2 do
  ARGV[tonumber(ARGV[n])] = string.format('%.0f', now + ARGV[n + 1])
end

-- Lua's stack holds 8,000 values, so long lists go in parts.
local function call_with(command, key, count)
  local first, last = place + 1, place + count
  place = last
  for n = first, last, 2000 do
    redis.call(command, key, unpack(ARGV, n, math.min(n + 1999, last)))
  end
end

-- How an index lies in its sorted set stands in index.rs. Bytes of a page, and pages of a small index.
local FULL, FEW = 800, 256

-- The page where a member is or belongs, and whether it is there.
local function page_of(key, member)
  local page = redis.call('ZREVRANGEBYLEX', key, '(' .. member .. '\1', '-', 'LIMIT', 0, 1)[1]
  return page, page and string.find('\0' .. page .. '\0', '\0' .. member .. '\0', 1, true)
end

-- Byte by byte: Lua's own `<` goes by the server's locale.
local function before(one, two)
  for n = 1, #two do
    local first, second = string.byte(one, n) or -1, string.byte(two, n)
    if first ~= second then
      return first < second
    end
  end
  return false
end

-- Cut at the middle one of three: its first member and what comes before the cut, and the others behind it.
local function cut(first, rest)
  local members = {}
  for member in string.gmatch(rest, '%Z+') do
    members[#members + 1] = member
  end
  local three = { members[math.ceil(#members / 4)], members[math.ceil(#members / 2)], members[#members] }
  table.sort(three, before)
  local low, high = { first }, { three[2] }
  for _, member in ipairs(members) do
    if before(member, three[2]) then
      low[#low + 1] = member
    elseif member ~= three[2] then
      high[#high + 1] = member
    end
  end
  return table.concat(low, '\0'), table.concat(high, '\0')
end

-- Never in front of a page: whoever reads one after the other relies on it that no page begins earlier than it did.
local function add(key, member)
  local page, found = page_of(key, member)
  if found then
    return
  end
  local between = page and string.find(page, '\0', 1, true)
  if not page or not between and redis.call('ZCARD', key) < FEW then
    redis.call('ZADD', key, 0, member)
    return
  end
  redis.call('ZREM', key, page)
  if between and #page >= FULL then
    local low, high = cut(string.sub(page, 1, between - 1), string.sub(page, between + 1) .. '\0' .. member)
    redis.call('ZADD', key, 0, low, 0, high)
  else
    redis.call('ZADD', key, 0, page .. '\0' .. member)
  end
end

local function remove(key, member)
  local page, at = page_of(key, member)
  if not at then
    return
  end
  redis.call('ZREM', key, page)
  local rest = string.sub(page, at + #member + 1)
  if at > 1 then
    local front = string.sub(page, 1, at - 2)
    redis.call('ZADD', key, 0, rest == '' and front or front .. '\0' .. rest)
  elseif rest ~= '' then
    -- The least of them goes to the front.
    local members = {}
    for one in string.gmatch(rest, '%Z+') do
      table.insert(members, members[1] and before(members[1], one) and #members + 1 or 1, one)
    end
    redis.call('ZADD', key, 0, table.concat(members, '\0'))
  end
end

for _ = 1, number() do
  local kind, n = word(), number()
  local key = KEYS[n]
  if kind == 'put' or kind == 'set' then
    local lives, count = word(), number()
    -- Not without need: after a first write, if only of this kind, Redis checks its memory limit no more.
    if kind == 'put' and revs[n] > 0 then
      redis.call('DEL', key)
    end
    revs[n] = revs[n] + 1
    ARGV[place + count] = string.format('%.0f', revs[n])
    call_with('HSET', key, count)
    if lives ~= '' then
      redis.call('PEXPIRE', key, lives)
    end
  elseif kind == 'unset' then
    local count = number()
    if revs[n] > 0 then
      call_with('HDEL', key, count)
      revs[n] = revs[n] + 1
      redis.call('HSET', key, 'rev', string.format('%.0f', revs[n]))
    else
      place = place + count
    end
  elseif kind == 'delete' then
    redis.call('DEL', key)
    revs[n] = 0
  elseif kind == 'add' then
    add(key, word())
  elseif kind == 'remove' then
    remove(key, word())
  elseif kind == 'append' then
    -- Not in parts: an entry has few enough fields.
    local first = place + 2
    place = place + 1 + ARGV[place + 1]
    redis.call('XADD', key, '*', unpack(ARGV, first, place))
  else
    redis.call('XTRIM', key, 'MINID', word())
  end
end
return { -1, now }
