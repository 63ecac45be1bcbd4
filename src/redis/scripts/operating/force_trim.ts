import { CUT } from "../parts/_cut.ts";
import { REMOVED_UNTRIED } from "../parts/_removed.ts";
import { SWEEP } from "../parts/_sweep.ts";
import { Script } from "../../connection/_script.ts";

/**
 * Removes old entries, read or not, and notes for each group which unread ones were removed.
 *
 * KEYS and ARGV: see `CUT`; the second key is the hash of the subjects' marks, then come the meta hashes of the groups, and
 * their names in the same order. Reply: how many entries were removed, an empty text, and 1 if there is more to remove.
 */
export const FORCE_TRIM: Script = new Script(`${CUT}
-- Out of memory, a script may add to a key only after another write. This one removes nothing.
redis.call('XTRIM', stream, 'MINID', '=', '0-0')
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
local function text(number) return string.format('%.0f', number) end
${REMOVED_UNTRIED}${SWEEP}
local keys, groups = {}, {}
for at = 3, #KEYS do keys[ARGV[at + 2]] = KEYS[at] end
for _, info in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
  local metaKey = keys[info[2]]
  -- A group without a life was not made by this store.
  if metaKey and redis.call('HEXISTS', metaKey, 'life') == 1 and less(info[8], cut) then
    noteRemoved(info[2], metaKey, 0)
    groups[#groups + 1] = {metaKey = metaKey, read = info[8]}
  end
end
table.sort(groups, function(a, b) return less(a.read, b.read) end)

-- Removes the entries up to the last read position of each group in turn, so that the replies count the unread ones.
local to = redis.call('XREVRANGE', stream, '(' .. cut, '-', 'COUNT', 1)[1]
local removed = 0
for _, g in ipairs(groups) do
  removed = removed + redis.call('XTRIM', stream, 'MINID', '=', after(g.read))
  g.before = removed
  local first = redis.call('XRANGE', stream, '-', '(' .. cut, 'COUNT', 1)[1]
  g.from = first and first[1]
end
removed = removed + redis.call('XTRIM', stream, 'MINID', '=', cut)
sweep(KEYS[2], removed, cut)

for _, g in ipairs(groups) do
  local lost = removed - g.before
  local mark = parseMark(redis.call('HGET', g.metaKey, 'mark'))
  if mark then
    mark.gone = mark.gone + removed
    mark.unread = mark.unread and mark.unread >= lost and mark.unread - lost or nil
    if mark.first and less(mark.first, cut) then mark.first = nil end
    -- Reads are counted from here on: where the server counts ranks, it counts the gap as read.
    if lost > 0 and mark.counts ~= 'reads' then
      mark.counter = mark.counts == 'ranks' and mark.counter and mark.counter + lost or nil
    end
    writeMark(g.metaKey, mark)
  end
  if lost > 0 then
    addRemoved(g.metaKey, g.from, to[1], lost)
    redis.call('HINCRBY', g.metaKey, 'bell', 1)
  end
end
return {removed, '', more}
`);
