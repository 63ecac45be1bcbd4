import { Script } from "../../connection/_script.ts";
import { PRELUDE } from "../parts/_prelude.ts";

/**
 * Renews a consumer's lease, and finds out which deliveries it has lost.
 *
 * KEYS and ARGV: see the prelude, then the lease in ms, stalled (0, 1, or empty to keep the value), the generation in which
 * the oldest delivery was claimed, 1 if the consumer is exclusive, then position, epoch and delivery count of each delivery. They are compared only if the
 * consumer's generation is another one. Reply: the consumer's generation, the group's epoch, and the lost positions.
 * Errors: `NAMETAKEN`, `OCCUPIED`, NOGROUP.
 */
export const RENEW: Script = new Script(`${PRELUDE}
local refused = renewLease(tonumber(ARGV[4]), ARGV[7] == '1')
if refused then return refused end
if ARGV[5] ~= '' then redis.call('HSET', meta, 'stalled:' .. me, ARGV[5]) end
redis.call('HSET', meta, 'lease:' .. me, ARGV[4])
local lost, gen = {}, redis.call('HGET', meta, 'gen:' .. me)
if gen ~= ARGV[6] then
  for at = 8, #ARGV, 3 do
    if not holds(ARGV[at], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])) then lost[#lost + 1] = ARGV[at] end
  end
end
saveCheckpoint()
return {tonumber(gen or -1), epoch(), lost}
`);
