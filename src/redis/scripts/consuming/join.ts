import { Script } from "../../connection/_script.ts";
import { HEAL_GROUP } from "../parts/_heal.ts";
import { HOLDS } from "../parts/_holds.ts";
import { OTHERS } from "../parts/_others.ts";
import { PRELUDE } from "../parts/_prelude.ts";
import { REMOVED } from "../parts/_removed.ts";

/**
 * Creates the group if there is none, and enrols the consumer. A group with a checkpoint was lost: another program deleted
 * it, or its stream, while no consumer ran. It goes on at the checkpoint.
 *
 * KEYS and ARGV: see the prelude (without a life), then the lease in ms, the position after which a new group begins, a life
 * for a new group, the event types of the consumer in ascending order with spaces between, or empty for the stream's own
 * type, 1 if the consumer is exclusive, and its `whenDead`: `hold-key` or empty. Reply: the consumer's generation, the group's
 * epoch, its life, and what HEAL replies (empty if the group was not lost). Errors: WRONGTYPE, `NAMETAKEN <consumer> <ms left>`
 * if another live consumer has the name, `OCCUPIED <consumer> <ms left>` if a live consumer is in the way because one of the
 * two is exclusive, and `TERMSDIFFER <whenDead> <types>` if the group has other terms.
 */
export const JOIN: Script = new Script(`${PRELUDE}${HOLDS}${HEAL_GROUP}${REMOVED}${OTHERS}
local taken, types, whenDead = nameTaken(), termsOf()
local own = ARGV[9] or ''
local differs = types ~= ARGV[7] or whenDead ~= own
if taken then return differs and termsDiffer(types, whenDead) or taken end
local healed = {}
if redis.call('HEXISTS', meta, 'checkpoint') == 1 then healed = healGroup('', '0') end
if healed.err then return healed end
local made = redis.pcall('XGROUP', 'CREATE', stream, group, ARGV[5], 'MKSTREAM')
if made.err and not string.find(made.err, 'BUSYGROUP', 1, true) then return made end
if made.err and differs then return termsDiffer(types, whenDead) end
local refused = renewLease(tonumber(ARGV[4]), ARGV[8] == '1', true)
if refused then return refused end
redis.call('HDEL', meta, 'deleted')
redis.call('PERSIST', meta)
redis.call('HSET', meta, 'lease:' .. me, ARGV[4])
if not life or not made.err then saveTerms(life or ARGV[6], ARGV[7], own) end
-- The mark of an earlier group of this name does not fit a new group.
if not made.err then
  redis.call('HDEL', meta, 'mark', 'removed', 'skipped', 'expired')
  redis.call('DEL', deadKeys, deadHolds, waitingKey)
end
-- All others are dead. They lose their deliveries at once, so that none of them settles beside this consumer.
if ARGV[8] == '1' then endOthers() end
noteRemoved(group, meta, 0)
return {tonumber(redis.call('HGET', meta, 'gen:' .. me)), epoch(), redis.call('HGET', meta, 'life'), healed}
`);
