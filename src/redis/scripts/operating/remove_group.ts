import { Script } from "../../connection/_script.ts";
import { PRELUDE } from "../parts/_prelude.ts";

/**
 * Deletes a group with all its helper keys. The field `deleted` stays for a while, so that members of the group end instead
 * of creating it again.
 *
 * KEYS and ARGV: see the prelude (without consumer and life), then how long the field stays, in ms. Reply: 1, or 0 if there
 * was no group, and connections whose blocked reads are to be ended.
 */
export const REMOVE_GROUP: Script = new Script(`${PRELUDE}
local wake = blockedConnections(64)
local removed = redis.call('EXISTS', stream) == 1 and redis.call('XGROUP', 'DESTROY', stream, group) or 0
redis.call('DEL', meta, consumers, due, workKey, copies, dead, KEYS[9], KEYS[10], KEYS[11])
if removed == 1 then
  redis.call('HSET', meta, 'deleted', 1)
  redis.call('PEXPIRE', meta, ARGV[4])
end
return {removed, wake}
`);
