import { Script } from "../../connection/_script.ts";
import { HOLDS } from "../parts/_holds.ts";
import { PRELUDE } from "../parts/_prelude.ts";

/**
 * Returns dead letters to their group.
 *
 * KEYS and ARGV: see the prelude (without consumer and life), then the length of a letter's own fields, names and values,
 * which stand before the fields of the event and behind the field `key` of a letter that has one, then ids of letters. Reply: how many letters there were, and connections
 * whose blocked reads are to be ended.
 */
export const REDRIVE: Script = new Script(`${PRELUDE}${HOLDS}
local count, last, keys = 0, '0-0', {}
local _, whenDead = termsOf()
for _, info in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
  if info[2] == group then last = info[8] end
end
for at = 5, #ARGV do
  local letter = redis.call('XRANGE', dead, ARGV[at], ARGV[at])[1]
  if letter then
    count = count + 1
    redis.call('XDEL', dead, ARGV[at])
    local skipped = letter[2][1] == 'key' and 2 or 0
    local own = tonumber(ARGV[4]) + skipped
    local id = letter[2][skipped + 2]
    if skipped > 0 then liftHold(keys, letter[2][2], id, ARGV[at]) end
    -- The delivery count goes on, so that no fence of an earlier delivery fits a later one.
    local deliveries = 0
    for nth = 1, own, 2 do
      if letter[2][nth] == 'deliveries' then deliveries = tonumber(letter[2][nth + 1]) end
    end
    local there = redis.call('XRANGE', stream, id, id)[1]
    local pending = redis.call('XPENDING', stream, group, id, id, 1)[1] or redis.call('HEXISTS', copies, id) == 1
    -- An entry that is pending, or that the group will read again, comes without this letter.
    if not pending and not (there and less(last, id)) then
      redis.call('HDEL', workKey, id)
      if there then
        redis.call('XCLAIM', stream, group, '_released', 0, id, 'RETRYCOUNT', deliveries, 'FORCE', 'JUSTID')
      end
      local c = not there and {owner = '', count = deliveries, fields = {unpack(letter[2], own + 1)}}
      if whenDead == '' then park(id, now, '_released', c) else returnFirst(id, c) end
    end
  end
end
for key in pairs(keys) do freeKey(key) end
ringBell()
return {count, blockedConnections(64)}
`);
