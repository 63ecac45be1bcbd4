import { Script } from "../../connection/_script.ts";
import { PRELUDE } from "../parts/_prelude.ts";

// Operators expect a change to take effect at once in all consumers of a group.
const MOST_WOKEN = 1_000;

/**
 * Writes the control of a group if its version is still the same, and wakes the consumers of the group.
 *
 * KEYS and ARGV: see the prelude (without consumer and life), then the version, and the text, or nothing to remove it. Reply: 1
 * if it was written, and connections whose blocked reads are to be ended. The next version is at least the time, as that of a
 * shared text.
 */
export const WRITE_CONTROL: Script = new Script(`${PRELUDE}
local version = tonumber(redis.call('HGET', meta, 'control') or 0)
if version ~= tonumber(ARGV[4]) then return {0, {}} end
redis.call('HSET', meta, 'control', text(math.max(version + 1, now)))
if #ARGV > 4 then
  redis.call('HSET', meta, 'controltext', ARGV[5])
else
  redis.call('HDEL', meta, 'controltext')
end
return {1, blockedConnections(${MOST_WOKEN})}
`);
