import { Script } from "./_script.ts";
import { PRELUDE } from "./_prelude.ts";

/**
 * Renews a consumer's lease, and says which of the deliveries named it no longer has.
 *
 * KEYS: as the prelude says. ARGV: group, consumer, life, lease in ms, stalled (0, 1, or empty to leave it), the takings that
 * are known, then id, epoch and delivery count for each delivery to look at. They are looked at only if something was
 * taken since. Reply: takings, epoch, the ids that are lost. Errors: `NAMETAKEN`, NOGROUP.
 */
export const RENEW: Script = new Script(`${PRELUDE}
local refused = touch(tonumber(ARGV[4]))
if refused then return refused end
if ARGV[5] ~= '' then redis.call('HSET', meta, 'stalled:' .. me, ARGV[5]) end
redis.call('HSET', meta, 'lease:' .. me, ARGV[4])
local lost, gen = {}, redis.call('HGET', meta, 'gen:' .. me)
if gen ~= ARGV[6] then
  for at = 7, #ARGV, 3 do
    if not mine(ARGV[at], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])) then lost[#lost + 1] = ARGV[at] end
  end
end
checkpoint()
return {tonumber(gen or -1), epoch(), lost}
`);
