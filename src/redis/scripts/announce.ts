import { Script } from "../_script.ts";
import { PRELUDE } from "./_prelude.ts";

/**
 * Says by which connection a consumer waits, for whoever wants to end its blocked read.
 *
 * KEYS: as the prelude says. ARGV: group, consumer, life, id of the connection. Reply: nothing.
 */
export const ANNOUNCE: Script = new Script(`${PRELUDE}
redis.call('HSET', meta, 'conn:' .. me, ARGV[4])
`);
