import { Script } from "../../connection/_script.ts";
import { batch } from "../parts/_batch.ts";
import { schedule } from "../parts/_schedule.ts";

/**
 * Adds a producer's batch to a schedule once, as APPEND appends one to the stream: both count in the same numbers.
 *
 * KEYS: stream, the producer's hash, the sorted set and the hash of the schedule, and the layout of the stream if the batch names
 * one. ARGV: as for APPEND up to the layout, then for each record: its id; `at` or `in`, and the time or the delay in ms; which
 * of its fields is the subject, 0 if it has none, or -1 and then the subject; its base; how many fields it has, names and values
 * counted; and these.
 *
 * Reply: the time, and the due time of each record; an empty list for a batch that was given up. Errors: as APPEND.
 */
export const ADD: Script = new Script(`
${schedule(3)}
local function answer(_, dues, time)
  local reply = {text(time or clock())}
  -- Equal due times are remembered once, with their number.
  for due, count in string.gmatch(dues, '(%d+)x(%d+)') do
    for _ = 1, tonumber(count) do reply[#reply + 1] = due end
  end
  return reply
end
${batch(5)}
local now = clock()
local added, leaving, size = counters()
local runs, last, count, total = {}, nil, 0, 0
while at <= #ARGV do
  local id, kind, ms, own, base = ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3]), nil
  at = at + 4
  if own == -1 then own, at = ARGV[at], at + 1 end
  base = tonumber(ARGV[at])
  local fields = {unpack(ARGV, at + 2, at + 1 + tonumber(ARGV[at + 1]))}
  at = at + 2 + tonumber(ARGV[at + 1])
  local due = text(kind == 'in' and now + math.max(0, ms) or math.max(now, ms))
  local before = redis.call('HGET', records, id)
  if before then redis.call('ZREM', waiting, string.sub(before, 1, 10) .. id) end
  added = added + 1
  local number = string.format('%010x', added)
  redis.call('ZADD', waiting, due, number .. id)
  local packed = own == 0 and {fields} or {fields, own, base}
  redis.call('HSET', records, id, number .. cmsgpack.pack(packed))
  total = total + 1
  if due == last then
    count = count + 1
  else
    if last then runs[#runs + 1] = last .. 'x' .. count end
    last, count = due, 1
  end
end
runs[#runs + 1] = last .. 'x' .. count
redis.call('HSET', records, '', text(added) .. ' ' .. leaving .. ' ' .. size)
local dues = table.concat(runs, ' ')
remember(total, dues)
return answer(total, dues, now)
`);
