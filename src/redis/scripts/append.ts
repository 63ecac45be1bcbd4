import { Script } from "./_script.ts";

/**
 * Appends a producer's batch once, however often it is sent.
 *
 * KEYS: stream, producer memory. ARGV: sequence, decided, known (0 or 1), memory in ms, ring size, then runs of records
 * that have fields of the same names: how many records, how many fields, the names, then the values record by record.
 * Without records the batch is given up.
 *
 * Reply: the first position and how many follow each other from it; an empty list for a batch that was given up.
 * Errors: `FORGOTTEN`, `OUTOFSEQUENCE`, and what XADD says of the stream before anything was written.
 */
export const APPEND: Script = new Script(`
local stream, memory = KEYS[1], KEYS[2]
local sequence, decided, ring = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[5])
local slot = tostring(sequence % ring)
local last, kept = unpack(redis.call('HMGET', memory, 'last', slot))
if not last and ARGV[3] == '1' then
  return redis.error_reply('FORGOTTEN batch ' .. ARGV[1])
end
if kept then
  local number, first, count = string.match(kept, '^(%d+) (%S+) (%d+)$')
  if tonumber(number) == sequence then
    -- Written anew, so that whoever waits for replicas on this connection waits for all that came before, too.
    redis.call('PEXPIRE', memory, ARGV[4])
    return {first, tonumber(count)}
  end
end
last = tonumber(last or 0)

-- Looking costs less than writing, which goes to replicas and into the append-only file: what lasts half as long is enough.
local function lasts()
  if redis.call('PTTL', memory) * 2 < tonumber(ARGV[4]) then redis.call('PEXPIRE', memory, ARGV[4]) end
end

if #ARGV == 5 then
  redis.call('HSET', memory, 'last', math.max(last, sequence))
  lasts()
  return {}
end
if sequence ~= math.max(last, decided) + 1 then
  return redis.error_reply('OUTOFSEQUENCE batch ' .. ARGV[1] .. ', the next one is ' .. (math.max(last, decided) + 1))
end
local at, count, first = 6, 0, nil
local id = '*'
while at <= #ARGV do
  local records, size = tonumber(ARGV[at]), tonumber(ARGV[at + 1])
  -- One call for all of the run: only its values change.
  local call = {'XADD', stream, id}
  for nth = 1, size do call[2 + 2 * nth] = ARGV[at + 1 + nth] end
  at = at + 1 + size
  for _ = 1, records do
    for nth = 1, size do call[3 + 2 * nth] = ARGV[at + nth] end
    at = at + size
    local given = redis.call(unpack(call))
    if not first then
      first = given
      -- In one millisecond the positions of a batch follow each other, so that one of them is the whole answer.
      id = string.match(given, '^%d+') .. '-*'
      call[3] = id
    end
  end
  count = count + records
  at = at + 1
end
redis.call('HSET', memory, 'last', sequence, slot, sequence .. ' ' .. first .. ' ' .. count)
lasts()
return {first, count}
`);
