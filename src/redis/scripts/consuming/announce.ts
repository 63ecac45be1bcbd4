import { Script } from "../../connection/_script.ts";
import { PRELUDE } from "../parts/_prelude.ts";

/**
 * Stores the connection on which a consumer waits, so that other consumers can end its blocked read.
 *
 * KEYS and ARGV: see the prelude, then the id of the connection. Reply: 1, or 0 if the consumer has left or was given up
 * for dead. Then nothing is stored.
 */
export const ANNOUNCE: Script = new Script(`${PRELUDE}
-- Nothing would ever remove the field of a consumer that has left.
if not redis.call('ZSCORE', consumers, me) then return 0 end
redis.call('HSET', meta, 'conn:' .. me, ARGV[4])
return 1
`);
