import { Script } from "../../connection/_script.ts";

/**
 * Tells an exclusive consumer whether it may claim the entries that it has read by a command right before: whether nothing
 * else had returned to the group that comes before them, and nothing was taken from the consumer. It changes nothing.
 *
 * KEYS: stream, meta, redrive. ARGV:
 *
 * - the group and the consumer,
 * - the last position up to which the consumer knows its deliveries,
 * - the highest version that the consumer knows,
 * - the group's life and epoch, the consumer's generation, the group's bell, and for a group that holds keys how often letters
 *   have ceased to hold one, else empty: as the consumer knows them.
 *
 * Reply: the first pending position behind the known ones, which must be the first entry of the read: else another read came
 * before, or this script did. It is empty if there is none, and a dash if it belongs to another consumer. Then 1 if nothing
 * has returned and all else is as the consumer knows it, or 0; and the version of the group's control (or 0). Errors: NOGROUP.
 */
export const CONFIRM_READ: Script = new Script(`
local stream, meta, copies = unpack(KEYS)
local group, me, version = ARGV[1], ARGV[2], tonumber(ARGV[4])

local row = redis.call('XPENDING', stream, group, '(' .. ARGV[3], '+', 1)[1]
local first = ''
if row then first = row[2] == me and row[1] or '-' end

local is = redis.call('HMGET', meta, 'exclusive', 'life', 'epoch', 'gen:' .. me, 'bell', 'freed', 'control')
local same = is[1] == me and (is[2] or '') == ARGV[5] and (is[3] or '0') == ARGV[6] and is[4] == ARGV[7]
  and (is[5] or '') == ARGV[8] and (ARGV[9] == '' or (is[6] or '0') == ARGV[9])
if not same or redis.call('HLEN', copies) > 0 then return {first, 0, is[7] or 0} end

-- Of the other consumers in the pending list, only those have nothing that this consumer may take which keep deliveries of
-- higher versions, and deliveries that wait behind dead letters.
for _, consumer in ipairs(redis.call('XPENDING', stream, group)[4] or {}) do
  local name = consumer[1]
  local held = tonumber(string.match(name, '^_held:(%d+)$'))
  if name ~= me and name ~= '_waiting' and not (held and held > version) then return {first, 0, is[7] or 0} end
end
return {first, 1, is[7] or 0}
`);
