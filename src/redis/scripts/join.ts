import { Script } from "./_script.ts";
import { PRELUDE } from "./_prelude.ts";
import { REMOVED } from "./_removed.ts";

/**
 * Makes the group if there is none, and enrols the consumer.
 *
 * KEYS: as the prelude says. ARGV: group, consumer, empty, lease in ms, where a new group begins (an id that is not
 * read), a life for a new group. Reply: takings of the consumer, epoch and life of the group. Errors: `NAMETAKEN <consumer> <ms left>`, WRONGTYPE.
 */
export const JOIN: Script = new Script(`${PRELUDE}${REMOVED}
local made = redis.pcall('XGROUP', 'CREATE', stream, group, ARGV[5], 'MKSTREAM')
if made.err and not string.find(made.err, 'BUSYGROUP', 1, true) then return made end
local refused = touch(tonumber(ARGV[4]))
if refused then return refused end
redis.call('HDEL', meta, 'deleted')
redis.call('PERSIST', meta)
redis.call('HSETNX', meta, 'life', ARGV[6])
redis.call('HSET', meta, 'lease:' .. me, ARGV[4])
-- The mark of an earlier group of this name says nothing about a new one.
if not made.err then redis.call('HDEL', meta, 'mark', 'removed') end
noteRemoved(group, meta, 0)
return {tonumber(redis.call('HGET', meta, 'gen:' .. me)), epoch(), redis.call('HGET', meta, 'life')}
`);
