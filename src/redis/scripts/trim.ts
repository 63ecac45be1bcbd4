import { POSITIONS } from "./_positions.ts";
import { Script } from "./_script.ts";

/**
 * Removes old entries, never one that some group has not read or not settled, unless forced.
 *
 * KEYS: stream. ARGV: the oldest time to keep in ms (or empty), how many entries to keep (or empty), force (0 or 1),
 * how many to remove at the most by number. Reply: removed, the group that kept entries from being removed or empty, 1
 * when there is more to remove.
 */
export const TRIM: Script = new Script(`${POSITIONS}
local stream = KEYS[1]
if redis.call('EXISTS', stream) == 0 then return {0, '', 0} end
-- The first entry to keep, by what was asked for.
local cut, more = nil, 0
local oldest = redis.call('XRANGE', stream, '-', '+', 'COUNT', 1)[1]
if not oldest then return {0, '', 0} end
if ARGV[1] ~= '' and less(oldest[1], ARGV[1] .. '-0') then cut = ARGV[1] .. '-0' end
if ARGV[2] ~= '' then
  local excess = redis.call('XLEN', stream) - tonumber(ARGV[2])
  if excess > 0 then
    local most = tonumber(ARGV[4])
    if excess > most then
      excess = most
      more = 1
    end
    local rows = redis.call('XRANGE', stream, '-', '+', 'COUNT', excess + 1)
    local first = rows[excess + 1] and rows[excess + 1][1] or after(rows[#rows][1])
    if not cut or less(cut, first) then cut = first end
  end
end
if not cut then return {0, '', 0} end

local pinnedBy = ''
if ARGV[3] ~= '1' then
  for _, info in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
    local floor = after(info[8])
    -- What is pending and gone already keeps nothing.
    local pending = redis.call('XPENDING', stream, info[2], oldest[1], '+', 1)[1]
    if pending and less(pending[1], floor) then floor = pending[1] end
    -- Between the last read entry and the next there may be none: what counts is whether an entry would be lost.
    if less(floor, cut) and redis.call('XRANGE', stream, floor, '(' .. cut, 'COUNT', 1)[1] then
      cut = floor
      pinnedBy = info[2]
      more = 0
    end
  end
end
return {redis.call('XTRIM', stream, 'MINID', '=', cut), pinnedBy, more}
`);
