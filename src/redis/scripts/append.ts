import { Script } from "../_script.ts";

/**
 * Appends a producer's batch once, however often it is sent.
 *
 * KEYS: stream, producer memory. ARGV: sequence, decided, known (0 or 1), memory in ms, ring size, then for each record
 * the number of its fields and the fields. Without records the batch is given up.
 *
 * Reply: the first position and how many follow each other from it; an empty list for a batch that was given up.
 * Errors: `FORGOTTEN`, `OUTOFSEQUENCE`, and what XADD says of the stream before anything was written.
 */
export const APPEND: Script = new Script(`
local stream, memory = KEYS[1], KEYS[2]
local sequence, decided, ring = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[5])
local last = redis.call('HGET', memory, 'last')
if not last and ARGV[3] == '1' then
  return redis.error_reply('FORGOTTEN batch ' .. ARGV[1])
end
local slot = tostring(sequence % ring)
local kept = last and redis.call('HGET', memory, slot)
if kept then
  local number, first, count = string.match(kept, '^(%d+) (%S+) (%d+)$')
  if tonumber(number) == sequence then return {first, tonumber(count)} end
end
last = tonumber(last or 0)
if #ARGV == 5 then
  redis.call('HSET', memory, 'last', math.max(last, sequence))
  redis.call('PEXPIRE', memory, ARGV[4])
  return {}
end
if sequence ~= math.max(last, decided) + 1 then
  return redis.error_reply('OUTOFSEQUENCE batch ' .. ARGV[1] .. ', the next one is ' .. (math.max(last, decided) + 1))
end
local at, count, first, ms = 6, 0, nil, nil
while at <= #ARGV do
  local size = tonumber(ARGV[at])
  local id = '*'
  -- In one millisecond the positions of a batch follow each other, so that one of them is the whole answer.
  if first then id = ms .. '-*' end
  local given = redis.call('XADD', stream, id, unpack(ARGV, at + 1, at + size))
  if not first then
    first = given
    ms = string.match(given, '^%d+')
  end
  count = count + 1
  at = at + size + 1
end
redis.call('HSET', memory, 'last', sequence, slot, sequence .. ' ' .. first .. ' ' .. count)
redis.call('PEXPIRE', memory, ARGV[4])
return {first, count}
`);
