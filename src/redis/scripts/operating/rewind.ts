import { Script } from "../../connection/_script.ts";
import { HOLDS } from "../parts/_holds.ts";
import { PRELUDE } from "../parts/_prelude.ts";
import { REMOVED_UNTRIED } from "../parts/_removed.ts";

/**
 * Moves a group to a position, and drops its deliveries from there on.
 *
 * KEYS and ARGV: see the prelude (without consumer and life), then the position after which the group reads (or `$`), and
 * the first position whose deliveries are dropped (or empty for none). Reply: how many deliveries were dropped, the first
 * entry that the group will read (or empty), and connections whose blocked reads are to be ended.
 */
export const REWIND: Script = new Script(`${PRELUDE}${HOLDS}${REMOVED_UNTRIED}
local counters = countersOf(group)
redis.call('XGROUP', 'SETID', stream, group, ARGV[4])
if counters then compare(meta, parseMark(redis.call('HGET', meta, 'mark')), counters) end
local to, dropped = ARGV[5], 0

-- Drops a thousand deliveries at once. One by one takes the server several times as long.
local function drop(ids, key)
  if #ids == 0 then return end
  if key == copies then redis.call('HDEL', copies, unpack(ids)) else redis.call('XACK', stream, group, unpack(ids)) end
  redis.call('HDEL', workKey, unpack(ids))
  redis.call('ZREM', due, unpack(ids))
  dropped = dropped + #ids
end

local n = redis.call('HINCRBY', meta, 'epoch', 1)
redis.call('HSET', meta, 'rewind:' .. n, to)
if to ~= '' then
  while true do
    local rows = redis.call('XPENDING', stream, group, to, '+', 1000)
    local ids = {}
    for at, row in ipairs(rows) do ids[at] = row[1] end
    drop(ids, stream)
    if #rows < 1000 then break end
  end
  local ids = {}
  for _, id in ipairs(redis.call('HKEYS', copies)) do
    if not less(id, to) then ids[#ids + 1] = id end
    if #ids == 1000 then
      drop(ids, copies)
      ids = {}
    end
  end
  drop(ids, copies)
  rewindHolds(to)
end
for _, consumer in ipairs(redis.call('ZRANGE', consumers, 0, -1)) do
  redis.call('HINCRBY', meta, 'gen:' .. consumer, 1)
end
saveCheckpoint()
ringBell()
-- Entries that were removed are looked for from the new position on.
compare(meta, nil, countersOf(group))
local first = to ~= '' and redis.call('XRANGE', stream, to, '+', 'COUNT', 1)[1]
return {dropped, first and first[1] or '', blockedConnections(64)}
`);
