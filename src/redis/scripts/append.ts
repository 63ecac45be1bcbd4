import { Script } from "../connection/_script.ts";

/**
 * Appends a producer's batch once, however often it is sent.
 *
 * KEYS: stream, the producer's hash, and the layout of the stream if the batch names one. ARGV: number of the batch, number up to which all batches are decided, 1 if the
 * producer has appended before (else 0), how long the hash lasts in ms, how many batches it remembers, the layout by
 * which the stream was chosen if there is a third key, then runs of records
 * with the same field names. A run is: number of records, number of fields, the names, and the values record by record.
 * A batch without records is given up.
 *
 * Reply: the first position and the number of records, whose positions are consecutive; an empty list for a batch that was
 * given up. Errors: `FORGOTTEN` if the hash is gone, `OUTOFSEQUENCE` if another batch is next, `LAYOUTCHANGED` if a later
 * layout is in force (the batch is decided then), and errors of XADD, before anything is written.
 */
export const APPEND: Script = new Script(`
local stream, memory = KEYS[1], KEYS[2]
local sequence, decided, ring = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[5])
local at = KEYS[3] and 7 or 6
local slot = tostring(sequence % ring)
local last, kept = unpack(redis.call('HMGET', memory, 'last', slot))
if not last and ARGV[3] == '1' then
  return redis.error_reply('FORGOTTEN batch ' .. ARGV[1])
end
if kept then
  local number, first, count = string.match(kept, '^(%d+) (%S+) (%d+)$')
  if tonumber(number) == sequence and count == '0' then
    if #ARGV >= at then return redis.error_reply('LAYOUTCHANGED batch ' .. ARGV[1]) end
  elseif tonumber(number) == sequence then
    -- A write, so that a WAIT on this connection also covers the entries that an earlier connection has written.
    redis.call('PEXPIRE', memory, ARGV[4])
    return {first, tonumber(count)}
  end
end
last = tonumber(last or 0)

-- Extends the expiry only after half of it has passed: a write goes to replicas and the append-only file, a check does not.
local function extend()
  if redis.call('PTTL', memory) * 2 < tonumber(ARGV[4]) then redis.call('PEXPIRE', memory, ARGV[4]) end
end

if #ARGV < at then
  redis.call('HSET', memory, 'last', math.max(last, sequence))
  extend()
  return {}
end
if sequence ~= math.max(last, decided) + 1 then
  return redis.error_reply('OUTOFSEQUENCE batch ' .. ARGV[1] .. ', the next one is ' .. (math.max(last, decided) + 1))
end
if KEYS[3] and tonumber(ARGV[6]) < tonumber(redis.call('GET', KEYS[3]) or 0) then
  redis.call('HSET', memory, 'last', sequence, slot, sequence .. ' - 0')
  extend()
  return redis.error_reply('LAYOUTCHANGED batch ' .. ARGV[1])
end
local count, first = 0, nil
local id = '*'
while at <= #ARGV do
  local records, size = tonumber(ARGV[at]), tonumber(ARGV[at + 1])
  -- One command for the whole run: only its values change.
  local call = {'XADD', stream, id}
  for nth = 1, size do call[2 + 2 * nth] = ARGV[at + 1 + nth] end
  at = at + 1 + size
  for _ = 1, records do
    for nth = 1, size do call[3 + 2 * nth] = ARGV[at + nth] end
    at = at + size
    local given = redis.call(unpack(call))
    if not first then
      first = given
      -- All entries get the millisecond of the first, so their positions are consecutive and the first one tells them all.
      id = string.match(given, '^%d+') .. '-*'
      call[3] = id
    end
  end
  count = count + records
  at = at + 1
end
redis.call('HSET', memory, 'last', sequence, slot, sequence .. ' ' .. first .. ' ' .. count)
extend()
return {first, count}
`);
