import { Script } from "./_script.ts";
import { PRELUDE } from "./_prelude.ts";

/**
 * Says by which connection a consumer waits, for whoever wants to end its blocked read.
 *
 * KEYS: as the prelude says. ARGV: group, consumer, life, id of the connection. Reply: 1; 0 when the consumer has left, or
 * was given up, and nothing was noted.
 */
export const ANNOUNCE: Script = new Script(`${PRELUDE}
-- What comes late, after the consumer has left, would stay for ever.
if not redis.call('ZSCORE', consumers, me) then return 0 end
redis.call('HSET', meta, 'conn:' .. me, ARGV[4])
return 1
`);
