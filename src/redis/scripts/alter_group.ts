import { Script } from "../connection/_script.ts";
import { PRELUDE } from "./parts/_prelude.ts";

/**
 * Changes the event types of a group, unless it has live consumers. Scripts of consumers with other types are refused from
 * then on.
 *
 * KEYS and ARGV: see the prelude (without consumer and life), then the types in ascending order with spaces between, or
 * empty for the stream's own type. Reply: the live consumers; if there are none, the types were changed.
 */
export const ALTER_GROUP: Script = new Script(`${PRELUDE}
local alive = redis.call('ZRANGEBYSCORE', consumers, '(' .. text(now), '+inf')
if #alive > 0 then return alive end
if ARGV[4] == '' then
  redis.call('HDEL', meta, 'types')
else
  redis.call('HSET', meta, 'types', ARGV[4])
end
if life then redis.call('HSET', meta, 'life', lifeWith(life, ARGV[4])) end
return {}
`);
