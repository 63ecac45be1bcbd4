import { Script } from "../../connection/_script.ts";
import { DELIVER } from "../parts/_deliver.ts";
import { PRELUDE } from "../parts/_prelude.ts";

/**
 * Gives a consumer its orphans: deliveries of a read or claim whose reply was lost.
 *
 * KEYS and ARGV: see the prelude, then the positions. Reply: the deliveries that still belong to the consumer, as in the
 * reply of CLAIM, and the positions of those whose entries are gone.
 */
export const ADOPT: Script = new Script(`${PRELUDE}${DELIVER}
local taken = {}
for at = 4, #ARGV do
  local id = ARGV[at]
  local row = redis.call('XPENDING', stream, group, id, id, 1, me)[1]
  local c = not row and copyOf(id)
  if row then
    taken[#taken + 1] = {id = id, count = row[4]}
  elseif c and c.owner == me then
    taken[#taken + 1] = {id = id, count = c.count, copy = c}
  end
end
local reply, missing = deliver(taken)
return {reply, missing}
`);
