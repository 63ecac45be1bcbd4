import { Script } from "../../connection/_script.ts";
import { HOLDS } from "../parts/_holds.ts";
import { PRELUDE } from "../parts/_prelude.ts";

/**
 * Removes dead letters that may hold their keys for good.
 *
 * KEYS and ARGV: see the prelude (without consumer and life), then id, position and key of each letter. Reply: how many letters
 * there were, and connections whose blocked reads are to be ended.
 */
export const DISCARD: Script = new Script(`${PRELUDE}${HOLDS}
local count, keys, freed = 0, {}, false
for at = 4, #ARGV, 3 do
  if redis.call('XDEL', dead, ARGV[at]) == 1 then
    count = count + 1
    liftHold(keys, ARGV[at + 2], ARGV[at + 1], ARGV[at])
  end
end
for key in pairs(keys) do freed = freeKey(key) or freed end
if freed then ringBell() end
return {count, freed and blockedConnections(64) or {}}
`);
