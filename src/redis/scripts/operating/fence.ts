import { Script } from "../../connection/_script.ts";

/**
 * Refuses appends of lower layouts from now on.
 *
 * KEYS: stream, its layout. ARGV: the layout. Reply: the highest position that the stream ever gave, or an empty string.
 */
export const FENCE: Script = new Script(`
local stream, fence = KEYS[1], KEYS[2]
local last = ''
if redis.call('EXISTS', stream) == 1 then
  local info = redis.call('XINFO', 'STREAM', stream)
  for at = 1, #info, 2 do
    if info[at] == 'last-generated-id' then last = info[at + 1] end
  end
end
-- Always writes, so that a WAIT on this connection also covers a fence that an earlier connection has set.
local kept = tonumber(redis.call('GET', fence) or 0)
redis.call('SET', fence, math.max(kept, tonumber(ARGV[1])))
return last == '0-0' and '' or last
`);
