import { Script } from "../../connection/_script.ts";
import { HEAL_GROUP } from "../parts/_heal.ts";
import { HOLDS } from "../parts/_holds.ts";
import { PRELUDE } from "../parts/_prelude.ts";

/**
 * Creates a lost group again: at its checkpoint if the stream is still there, else at the beginning of a new stream.
 *
 * KEYS and ARGV: see the prelude, then the consumer's own checkpoint, in case that the group's is lost too: a position (or
 * empty), and 1 if the entry there is not settled; and the consumer's types and `whenDead` as in JOIN. Reply: empty if another
 * consumer was faster; else the position after which the group goes on (or empty for a new stream), and 1 if settled entries may be delivered again.
 */
export const HEAL: Script = new Script(`${PRELUDE}${HOLDS}${HEAL_GROUP}
if not life then saveTerms(ARGV[3], ARGV[6] or '', ARGV[7] or '') end
return healGroup(ARGV[4], ARGV[5])
`);
