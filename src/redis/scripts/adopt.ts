import { Script } from "./_script.ts";
import { HAND } from "./_hand.ts";
import { PRELUDE } from "./_prelude.ts";

/**
 * Hands to a consumer what it holds without knowing: what a read or a claim took whose answer was lost.
 *
 * KEYS: as the prelude says. ARGV: group, consumer, life, then the ids. Reply: for each delivery that is still the
 * consumer's what CLAIM says of it, then the ids of those whose entries are gone.
 */
export const ADOPT: Script = new Script(`${PRELUDE}${HAND}
local taken = {}
for at = 4, #ARGV do
  local id = ARGV[at]
  local row = redis.call('XPENDING', stream, group, id, id, 1, me)[1]
  local c = not row and copy(id)
  if row then
    taken[#taken + 1] = {id = id, count = row[4]}
  elseif c and c.owner == me then
    taken[#taken + 1] = {id = id, count = c.count, copy = c}
  end
end
local reply, missing = hand(taken)
return {reply, missing}
`);
