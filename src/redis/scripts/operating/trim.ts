import { CUT } from "../parts/_cut.ts";
import { SWEEP } from "../parts/_sweep.ts";
import { Script } from "../../connection/_script.ts";

export { MEASURED_BLOCKS } from "../parts/_bytes.ts";

/**
 * Removes old entries, but none that a group has not read or not settled.
 *
 * KEYS and ARGV: see `CUT`. The second key is the hash of the subjects' marks. Reply: how many entries were removed, the
 * group whose entries were kept (or empty), and 1 if there is more to remove.
 */
export const TRIM: Script = new Script(`${CUT}${SWEEP}
local pinnedBy = ''
for _, info in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
  local floor = after(info[8])
  -- A pending delivery whose entry is gone keeps nothing, so the search begins at the oldest entry.
  local pending = redis.call('XPENDING', stream, info[2], oldest[1], '+', 1)[1]
  if pending and less(pending[1], floor) then floor = pending[1] end
  -- The group keeps entries only if there is one between its floor and the cut.
  if less(floor, cut) and redis.call('XRANGE', stream, floor, '(' .. cut, 'COUNT', 1)[1] then
    cut = floor
    pinnedBy = info[2]
    more = 0
  end
end
local removed = redis.call('XTRIM', stream, 'MINID', '=', cut)
sweep(KEYS[2], removed, cut)
return {removed, pinnedBy, more}
`);
