import { Script } from "../../connection/_script.ts";
import { PRELUDE } from "../parts/_prelude.ts";
import { REMOVED } from "../parts/_removed.ts";

/**
 * Releases deliveries of a consumer, and removes the consumer once it holds none.
 *
 * KEYS and ARGV: see the prelude, then how many deliveries to release at most. Reply: 1 if the consumer is removed, 0 if it
 * holds more deliveries; and connections whose blocked reads are to be ended.
 */
export const LEAVE: Script = new Script(`${PRELUDE}${REMOVED}
local most = tonumber(ARGV[4])
local rows = redis.pcall('XPENDING', stream, group, '-', '+', most, me)
if rows.err then
  removeConsumer(me)
  return {1, {}}
end
local released = false
local function release(id, c)
  local w = workOf(id)
  w.isolated = 0
  saveWork(id, w)
  park(id, math.max(now, w.retryAt), w.retryAt > now and '_retry' or '_released', c)
  released = true
end
for _, row in ipairs(rows) do release(row[1]) end
for _, id in ipairs(redis.call('HKEYS', copies)) do
  local c = copyOf(id)
  if c.owner == me then release(id, c) end
end
if released then ringBell() end
if #rows == most then return {0, {}} end
redis.call('XGROUP', 'DELCONSUMER', stream, group, me)
removeConsumer(me)
-- There may be no other consumer to look for removed entries until one joins.
noteRemoved(group, meta, 0)
return {1, released and blockedConnections(64) or {}}
`);
