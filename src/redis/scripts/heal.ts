import { Script } from "./_script.ts";
import { PRELUDE } from "./_prelude.ts";

/**
 * Makes a group again that was lost: over a living stream at its checkpoint, at the beginning of a new one.
 *
 * KEYS: as the prelude says. ARGV: group, consumer, life, then the checkpoint as far as the consumer itself knows it,
 * for when the store has lost it too: a position (or empty), and 1 if that one is not settled. Reply: empty when
 * somebody else was faster; else the position behind which it reads on (or empty for a new stream), and 1 if what is
 * settled may come again.
 */
export const HEAL: Script = new Script(`${PRELUDE}
if not life then redis.call('HSET', meta, 'life', ARGV[3]) end
local from, including, mayRepeat = '0-0', '0', 0
local fresh = redis.call('EXISTS', stream) == 0
if fresh then
  redis.call('HDEL', meta, 'checkpoint', 'including')
else
  from = redis.call('HGET', meta, 'checkpoint')
  including = redis.call('HGET', meta, 'including') or '0'
  if not from then
    from, including = ARGV[4], ARGV[5]
  end
  if from == '' then
    from, mayRepeat = '0-0', 1
  elseif including == '1' then
    mayRepeat = 1
    from = before(from)
  end
end
local made = redis.pcall('XGROUP', 'CREATE', stream, group, from, 'MKSTREAM')
if made.err then
  if string.find(made.err, 'BUSYGROUP', 1, true) then return {} end
  return made
end
-- Nothing that was under way is anybody's any more: it went with the group.
redis.call('DEL', due, workKey, copies)
redis.call('HDEL', meta, 'mark')
redis.call('HSET', meta, 'rewind:' .. redis.call('HINCRBY', meta, 'epoch', 1), '0-0')
for _, consumer in ipairs(redis.call('ZRANGE', consumers, 0, -1)) do
  redis.call('HINCRBY', meta, 'gen:' .. consumer, 1)
end
return {fresh and '' or from, mayRepeat}
`);
