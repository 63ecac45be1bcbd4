import { Script } from "./_script.ts";
import { PRELUDE } from "./_prelude.ts";

/**
 * Hands dead letters back to their group.
 *
 * KEYS: as the prelude says. ARGV: group, empty, empty, how many leading fields of a letter are about the letter, then ids of
 * letters. Reply: how many there were, connections whose blocked reads should end.
 */
export const REDRIVE: Script = new Script(`${PRELUDE}
local count, last = 0, '0-0'
for _, info in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
  if info[2] == group then last = info[8] end
end
for at = 5, #ARGV do
  local letter = redis.call('XRANGE', dead, ARGV[at], ARGV[at])[1]
  if letter then
    count = count + 1
    redis.call('XDEL', dead, ARGV[at])
    local id = letter[2][2]
    -- Deliveries go on being counted, so that no settle of an earlier one fits a later one.
    local deliveries = 0
    for nth = 1, tonumber(ARGV[4]), 2 do
      if letter[2][nth] == 'deliveries' then deliveries = tonumber(letter[2][nth + 1]) end
    end
    local there = redis.call('XRANGE', stream, id, id)[1]
    local underWay = redis.call('XPENDING', stream, group, id, id, 1)[1] or redis.call('HEXISTS', copies, id) == 1
    -- What is under way, or will still be read, comes anyway.
    if not underWay and not (there and less(last, id)) then
      redis.call('HDEL', workKey, id)
      if there then
        redis.call('XCLAIM', stream, group, '_released', 0, id, 'RETRYCOUNT', deliveries, 'FORCE', 'JUSTID')
        redis.call('ZADD', due, text(now), id)
      else
        local fields = {unpack(letter[2], tonumber(ARGV[4]) + 1)}
        park(id, now, '', {owner = '', count = deliveries, fields = fields})
      end
    end
  end
end
ring()
return {count, sleepers(64)}
`);
