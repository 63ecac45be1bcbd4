import { Script } from "../../connection/_script.ts";
import { schedule } from "../parts/_schedule.ts";

/**
 * Lists waiting entries by due time. KEYS: the sorted set and the hash of the schedule. ARGV: the lowest and the highest due time,
 * the largest number of entries, and after how many bytes to end; to go on, also the last due time and the last member before.
 *
 * Reply: for each entry its due time, its member and its fields.
 */
export const LIST: Script = new Script(
  `
${schedule(1)}
local low, high, count, most, member = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[6]
local skip = 0
if member then
  low = ARGV[5]
  -- Members of one due time are in the order of their text, and the last one may be gone: a binary search.
  local first = redis.call('ZCOUNT', waiting, '-inf', '(' .. low)
  local from, to = first, redis.call('ZCOUNT', waiting, '-inf', low)
  while from < to do
    local middle = math.floor((from + to) / 2)
    if redis.call('ZRANGE', waiting, middle, middle)[1] <= member then from = middle + 1 else to = middle end
  end
  skip = from - first
end
return shown(redis.call('ZRANGEBYSCORE', waiting, low, high, 'WITHSCORES', 'LIMIT', skip, count), most)
`,
  { readOnly: true },
);

/** How many entries wait, when the first is due, and the time. KEYS: the sorted set and the hash of the schedule. */
export const STATE: Script = new Script(
  `
${schedule(1)}
return state()
`,
  { readOnly: true },
);
