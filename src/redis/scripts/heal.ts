import { Script } from "../_script.ts";
import { PRELUDE } from "./_prelude.ts";

/**
 * Makes a group again that was lost: over a living stream at its checkpoint, at the beginning of a new one.
 *
 * KEYS: as the prelude says. ARGV: group, consumer, life, the checkpoint that the consumer knows (a position it has not
 * settled, or empty). Reply: `there` when somebody else was faster; else
 * `healed`, the first position it will read (or empty for the beginning).
 */
export const HEAL: Script = new Script(`${PRELUDE}
if not life then redis.call('HSET', meta, 'life', ARGV[3]) end
local fresh = redis.call('EXISTS', stream) == 0
local from = '0-0'
local including = 0
if fresh then
  redis.call('DEL', due, workKey, copies)
  redis.call('HDEL', meta, 'checkpoint', 'including')
else
  from = redis.call('HGET', meta, 'checkpoint') or (ARGV[4] ~= '' and ARGV[4]) or '0-0'
  including = tonumber(redis.call('HGET', meta, 'including') or (ARGV[4] ~= '' and '1') or '0')
end
if including == 1 and from ~= '0-0' then
  local ms, seq = string.match(from, '^(%d+)-(%d+)$')
  if seq ~= '0' then
    from = ms .. '-' .. text(tonumber(seq) - 1)
  else
    from = text(tonumber(ms) - 1) .. '-18446744073709551615'
  end
end
local made = redis.pcall('XGROUP', 'CREATE', stream, group, from, 'MKSTREAM')
if made.err then
  if string.find(made.err, 'BUSYGROUP', 1, true) then return {'there'} end
  return made
end
redis.call('DEL', due)
redis.call('HINCRBY', meta, 'epoch', 1)
redis.call('HSET', meta, 'rewind:' .. epoch(), '0-0')
for _, consumer in ipairs(redis.call('ZRANGE', consumers, 0, -1)) do
  redis.call('HINCRBY', meta, 'gen:' .. consumer, 1)
end
return {'healed', fresh and '' or from}
`);
