import { Script } from "../../connection/_script.ts";
import { HOLDS } from "../parts/_holds.ts";
import { PRELUDE } from "../parts/_prelude.ts";

/**
 * Changes the terms of a group, unless it has live consumers. Scripts of consumers with other terms are refused from then
 * on.
 *
 * KEYS and ARGV: see the prelude (without consumer and life), then the types in ascending order with spaces between, or
 * empty for the stream's own type, and `hold-key`, `continue`, or empty to keep that. Reply: the live consumers; if there are
 * none, the terms were changed.
 */
export const ALTER_GROUP: Script = new Script(`${PRELUDE}${HOLDS}
local alive = redis.call('ZRANGEBYSCORE', consumers, '(' .. text(now), '+inf')
if #alive > 0 then return alive end
local _, whenDead = termsOf()
if (ARGV[5] or '') ~= '' then whenDead = ARGV[5] == 'hold-key' and 'hold-key' or '' end
if whenDead == '' then clearHolds() end
saveTerms(life or '', ARGV[4], whenDead)
if not life then redis.call('HDEL', meta, 'life') end
return {}
`);
