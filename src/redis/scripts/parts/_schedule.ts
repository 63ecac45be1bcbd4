/**
 * Lua functions for the scripts of a schedule.
 *
 * A member of the sorted set is a number of ten hexadecimal digits, in the order of adding, and the id of an entry. Members of one
 * due time are in the order of their text. The value of an entry in the hash is that number, and behind it the entry in MessagePack:
 * its fields, and if it gets a revision, its subject (or which of its fields that is) and the base. The field without a name has
 * the number of the last entry, the number of the next batch of leaving entries, and how many entries that has.
 *
 * @param first Which key is the sorted set; the next one is the hash.
 */
export const schedule = (first: number): string => `
local waiting, records = KEYS[${first}], KEYS[${first + 1}]

local function clock()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

-- A number as text. Lua would write a large one with an exponent.
local function text(number) return string.format('%.0f', number) end

-- How many entries wait, the due time of the first one, and the time.
local function state()
  local top = redis.call('ZRANGE', waiting, 0, 0, 'WITHSCORES')
  return {redis.call('ZCOUNT', waiting, '-inf', '+inf'), top[2] and text(top[2]) or '', text(clock())}
end

local function counters()
  local added, batch, size = string.match(redis.call('HGET', records, '') or '0 1 0', '^(%d+) (%d+) (%d+)$')
  return tonumber(added), tonumber(batch), tonumber(size)
end

-- The entry of a member, and how many bytes it takes.
local function entry(member)
  local value = redis.call('HGET', records, string.sub(member, 11))
  if not value then return nil, 0 end
  return cmsgpack.unpack(string.sub(value, 11)), #value
end

-- Members and scores as a reply: due time, id and fields of each entry, up to so many bytes.
local function shown(found, most)
  local reply, bytes = {}, 0
  for nth = 1, #found, 2 do
    if bytes > most then break end
    local e, size = entry(found[nth])
    if e then
      bytes = bytes + size
      reply[#reply + 1] = {text(found[nth + 1]), found[nth], e[1]}
    end
  end
  return reply
end
`;

/** Ends the script with LAYOUTCHANGED if a later layout than that of the first argument is in force. */
export const fenced = (layout: number): string => `
if KEYS[${layout}] and tonumber(ARGV[1]) < tonumber(redis.call('GET', KEYS[${layout}]) or 0) then
  return redis.error_reply('LAYOUTCHANGED schedule')
end
`;
