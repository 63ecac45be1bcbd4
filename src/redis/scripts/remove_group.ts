import { Script } from "./_script.ts";
import { PRELUDE } from "./_prelude.ts";

/**
 * Ends a group for good; a mark tells its members for a while that it was meant.
 *
 * KEYS: as the prelude says. ARGV: group, empty, empty, how long the mark stays in ms. Reply: 1, or 0 if there was none, then
 * connections whose blocked reads should end.
 */
export const REMOVE_GROUP: Script = new Script(`${PRELUDE}
local wake = sleepers(64)
local removed = redis.call('EXISTS', stream) == 1 and redis.call('XGROUP', 'DESTROY', stream, group) or 0
redis.call('DEL', meta, consumers, due, workKey, copies, dead)
if removed == 1 then
  redis.call('HSET', meta, 'deleted', 1)
  redis.call('PEXPIRE', meta, ARGV[4])
end
return {removed, wake}
`);
