import { Script } from "../../connection/_script.ts";
import { fenced, schedule } from "../parts/_schedule.ts";

/**
 * Removes an entry from a schedule, or changes when it is due.
 *
 * KEYS: the sorted set and the hash of the schedule, and the layout of the stream if the schedule has one. ARGV: the layout or
 * nothing, the id; for another due time also `at` or `in`, and the time or the delay in ms.
 *
 * Reply: the due time that it has now, or that it had when it was removed, and the time; an empty list if it was not waiting.
 * Errors: `LAYOUTCHANGED`.
 */
export const CHANGE: Script = new Script(`
${schedule(1)}
${fenced(3)}
local id, now = ARGV[2], clock()
local value = redis.call('HGET', records, id)
if not value then return {} end
local member = string.sub(value, 1, 10) .. id
local due = redis.call('ZSCORE', waiting, member)
if not due then return {} end
if ARGV[3] then
  local ms = tonumber(ARGV[4])
  due = text(ARGV[3] == 'in' and now + math.max(0, ms) or math.max(now, ms))
  redis.call('ZADD', waiting, due, member)
else
  redis.call('ZREM', waiting, member)
  redis.call('HDEL', records, id)
end
return {text(due), text(now)}
`);
