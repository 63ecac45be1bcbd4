/**
 * Lua functions for keys that dead letters hold. They need the prelude, and the keys after those of the prelude: deadkeys,
 * deadholds, waiting. Only scripts of groups with `whenDead: "hold-key"` have these keys; all operating scripts do.
 *
 * - The hash `deadkeys` has the lowest position of the letters that hold a key, by the key.
 * - The sorted set `deadholds` has a member for each of these letters: `<length>:<key>:<position>:<id of the letter>`.
 * - The sorted set `waiting` has a member for each delivery that waits: `<length>:<key>:<position>`. The reserved consumer
 *   `_waiting` owns these deliveries.
 *
 * In both sets all scores are 0, so that members are in order of their text. Positions in them have leading zeros, and the
 * length of the key keeps keys apart.
 */
export const HOLDS: string = `
local deadKeys, deadHolds, waitingKey = KEYS[9], KEYS[10], KEYS[11]

-- The text of a position that is in order of position with others: both parts have 20 digits.
local function padded(id)
  local ms, seq = string.match(id, '^(%d+)-(%d+)$')
  return string.rep('0', 20 - #ms) .. ms .. '-' .. string.rep('0', 20 - #seq) .. seq
end
local function unpadded(digits)
  local ms, seq = string.match(digits, '^0*(%d+)-0*(%d+)$')
  return ms .. '-' .. seq
end

-- The beginning of all members about a key. What follows it begins with a digit, so all are below the prefix and a colon.
local function prefixOf(key) return #key .. ':' .. key .. ':' end
-- The prefix of a member, the position in it with its zeros, and the rest.
local function parseMember(member)
  local length = string.match(member, '^%d+')
  local to = #length + 1 + tonumber(length) + 1
  return string.sub(member, 1, to), string.sub(member, to + 1, to + 41), string.sub(member, #length + 2, to - 1)
end

local function isBehind(id, key)
  local from = redis.call('HGET', deadKeys, key)
  return from and less(from, id)
end

-- Has a letter hold its key. Returns whether no letter has held the key before.
local function hold(key, id, letter)
  redis.call('ZADD', deadHolds, 0, prefixOf(key) .. padded(id) .. ':' .. letter)
  local from = redis.call('HGET', deadKeys, key)
  if not from or less(id, from) then redis.call('HSET', deadKeys, key, id) end
  return not from
end

-- The score of a delivery that comes before all others, by position: far below all times.
local function firstScore(id)
  local ms, seq = string.match(id, '^(%d+)-(%d+)$')
  local score = tonumber(ms) - 2e12 + math.min(tonumber(seq), 2047) / 2048
  return string.format('%.17g', math.min(score, now))
end

-- Returns a delivery to the group that comes before all others.
local function returnFirst(id, c) parkAt(id, firstScore(id), '_released', c) end

-- Calls a function with up to 500 values of a list at once, because Lua unpacks only some thousands.
local function inParts(list, use)
  for from = 1, #list, 500 do use({unpack(list, from, math.min(from + 499, #list))}) end
end

-- The same as returnFirst for many deliveries. One by one would take the server several times as long.
local function returnAllFirst(ids)
  local anyCopy = redis.call('HLEN', copies) > 0
  inParts(ids, function(part)
    local scores, plain, kept = {}, {}, {}
    for _, id in ipairs(part) do
      local c = anyCopy and copyOf(id)
      if c then
        returnFirst(id, c)
      else
        plain[#plain + 1] = id
        scores[#scores + 1] = firstScore(id)
        scores[#scores + 1] = id
      end
    end
    if #plain == 0 then return end
    redis.call('ZADD', due, unpack(scores))
    local claim = {stream, group, '_released', 0, unpack(plain)}
    claim[#claim + 1] = 'JUSTID'
    for _, id in ipairs(redis.call('XCLAIM', unpack(claim))) do kept[id] = true end
    for _, id in ipairs(plain) do
      -- As in parkAt: the entry was removed.
      if not kept[id] then saveCopy(id, {owner = '', count = 0}) end
    end
  end)
end

-- Consumers compare this number: deliveries that they claimed before may belong behind those that returned since.
local function noteFreed() redis.call('HINCRBY', meta, 'freed', 1) end
local function freedCount() return tonumber(redis.call('HGET', meta, 'freed') or 0) end

-- Some letters hold this key no longer. Returns the deliveries that wait behind none of the others; the result tells whether
-- there are such.
local function freeKey(key)
  noteFreed()
  local prefix = prefixOf(key)
  local first = redis.call('ZRANGEBYLEX', deadHolds, '[' .. prefix, '(' .. prefix .. ':', 'LIMIT', 0, 1)[1]
  local _, from = parseMember(first or '0::')
  if first then redis.call('HSET', deadKeys, key, unpadded(from)) else redis.call('HDEL', deadKeys, key) end
  local to = first and '[' .. prefix .. from or '(' .. prefix .. ':'
  local freed = redis.call('ZRANGEBYLEX', waitingKey, '[' .. prefix, to)
  if #freed == 0 then return false end
  local ids = {}
  for at, member in ipairs(freed) do ids[at] = unpadded(string.sub(member, #prefix + 1)) end
  inParts(freed, function(part) redis.call('ZREM', waitingKey, unpack(part)) end)
  returnAllFirst(ids)
  return true
end

-- A letter is removed. Adds its key to a table if it held the key.
local function liftHold(keys, key, id, letter)
  if redis.call('ZREM', deadHolds, prefixOf(key) .. padded(id) .. ':' .. letter) == 1 then keys[key] = true end
end

-- Removes what says that deliveries from a position on wait, and the holds of letters from there on. The deliveries themselves
-- must be gone.
local function rewindHolds(to)
  to = padded(to)
  local function remove(set, matches)
    local from = 0
    while true do
      local members, gone = redis.call('ZRANGE', set, from, from + 999), {}
      for _, member in ipairs(members) do
        if matches(member) then gone[#gone + 1] = member end
      end
      if #gone > 0 then redis.call('ZREM', set, unpack(gone)) end
      if #members < 1000 then return end
      from = from + 1000 - #gone
    end
  end
  remove(waitingKey, function(member)
    local _, position = parseMember(member)
    return position >= to
  end)
  local keys = {}
  remove(deadHolds, function(member)
    local _, position, key = parseMember(member)
    if position < to then return false end
    keys[key] = true
    return true
  end)
  for key in pairs(keys) do freeKey(key) end
end

-- If the sorted set has lost the deliveries that wait, they return: whoever gets them has them wait again.
local function returnStray(pending)
  if pending == 0 or redis.call('ZCARD', waitingKey) > 0 then return end
  for _, row in ipairs(redis.call('XPENDING', stream, group, '-', '+', 1000, '_waiting')) do returnFirst(row[1]) end
end

-- No letter holds its key any more, and all deliveries that wait return. Returns whether there are such.
local function clearHolds()
  local all, ids = redis.call('ZRANGE', waitingKey, 0, -1), {}
  for at, member in ipairs(all) do
    local _, position = parseMember(member)
    ids[at] = unpadded(position)
  end
  returnAllFirst(ids)
  redis.call('DEL', deadKeys, deadHolds, waitingKey)
  noteFreed()
  return #all > 0
end
`;
