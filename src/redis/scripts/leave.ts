import { Script } from "./_script.ts";
import { PRELUDE } from "./_prelude.ts";
import { REMOVED } from "./_removed.ts";

/**
 * Hands back what a consumer holds, up to a number, and removes the consumer once it holds nothing.
 *
 * KEYS: as the prelude says. ARGV: group, consumer, life, how many at once. Reply: 1 when the consumer is gone, 0 when it
 * holds more; connections whose blocked reads should end.
 */
export const LEAVE: Script = new Script(`${PRELUDE}${REMOVED}
local most = tonumber(ARGV[4])
local rows = redis.pcall('XPENDING', stream, group, '-', '+', most, me)
if rows.err then
  forget(me)
  return {1, {}}
end
local cameBack = false
local function handBack(id, c)
  local w = work(id)
  w.isolated = 0
  keep(id, w)
  park(id, math.max(now, w.retryAt), w.retryAt > now and '_retry' or '_released', c)
  cameBack = true
end
for _, row in ipairs(rows) do handBack(row[1]) end
for _, id in ipairs(redis.call('HKEYS', copies)) do
  local c = copy(id)
  if c.owner == me then handBack(id, c) end
end
if cameBack then ring() end
if #rows == most then return {0, {}} end
redis.call('XGROUP', 'DELCONSUMER', stream, group, me)
forget(me)
-- The group may have no other consumer, and read nothing until one joins.
noteRemoved(group, meta, 0)
return {1, cameBack and sleepers(64) or {}}
`);
