/**
 * The beginning of the scripts that append.
 *
 * It ends the script for a batch that needs no append, and for one that is refused. Otherwise it sets the locals `stream`
 * and `at`, the index of the script's own first argument, and the function `remember`. The script defines `answer`
 * before, which makes the reply again from what it remembered.
 *
 * @param layout Which key is the layout of the stream, if the batch names one.
 */
export const batch = (layout: number): string => `
local stream, memory = KEYS[1], KEYS[2]
local sequence, decided, ring = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[5])
local at = KEYS[${layout}] and 7 or 6
local slot = tostring(sequence % ring)
local last, kept = unpack(redis.call('HMGET', memory, 'last', slot))
if not last and ARGV[3] == '1' then
  return redis.error_reply('FORGOTTEN batch ' .. ARGV[1])
end
if kept then
  local number, first, rest = string.match(kept, '^(%d+) (%S+) (.*)$')
  if tonumber(number) == sequence and first == '-' then
    if #ARGV >= at then return redis.error_reply('LAYOUTCHANGED batch ' .. ARGV[1]) end
  elseif tonumber(number) == sequence then
    -- A write, so that a WAIT on this connection also covers the entries that an earlier connection has written.
    redis.call('PEXPIRE', memory, ARGV[4])
    return answer(first, rest)
  end
end
last = tonumber(last or 0)

-- Extends the expiry only after half of it has passed: a write goes to replicas and the append-only file, a check does not.
local function extend()
  if redis.call('PTTL', memory) * 2 < tonumber(ARGV[4]) then redis.call('PEXPIRE', memory, ARGV[4]) end
end

-- Remembers the reply to this batch.
local function remember(first, rest)
  redis.call('HSET', memory, 'last', sequence, slot, sequence .. ' ' .. first .. ' ' .. rest)
  extend()
end

if #ARGV < at then
  redis.call('HSET', memory, 'last', math.max(last, sequence))
  extend()
  return {}
end
if sequence ~= math.max(last, decided) + 1 then
  return redis.error_reply('OUTOFSEQUENCE batch ' .. ARGV[1] .. ', the next one is ' .. (math.max(last, decided) + 1))
end
if KEYS[${layout}] and tonumber(ARGV[6]) < tonumber(redis.call('GET', KEYS[${layout}]) or 0) then
  remember('-', '0')
  return redis.error_reply('LAYOUTCHANGED batch ' .. ARGV[1])
end
`;
