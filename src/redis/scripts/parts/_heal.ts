/**
 * Lua function that creates a lost group again: at its checkpoint if the stream is still there, else at the beginning of a
 * new stream. It needs the prelude and `HOLDS`.
 *
 * The arguments stand for a checkpoint that is lost, too: a position (or empty), and 1 if the entry there is not settled.
 * Result: empty if the group exists; else the position after which the group goes on (or empty for a new stream), and 1 if
 * settled entries may be delivered again; or an error.
 */
export const HEAL_GROUP = `
local function healGroup(position, unsettled)
  local from, including, mayRepeat = '0-0', '0', 0
  local fresh = redis.call('EXISTS', stream) == 0
  if fresh then
    redis.call('HDEL', meta, 'checkpoint', 'including')
  else
    from = redis.call('HGET', meta, 'checkpoint')
    including = redis.call('HGET', meta, 'including') or '0'
    if not from then
      from, including = position, unsettled
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
  -- All deliveries are gone with the group.
  redis.call('DEL', due, workKey, copies, waitingKey)
  -- Letters whose events come again hold their keys no longer. With a new stream no event comes again.
  if not fresh then rewindHolds(after(from)) end
  redis.call('HDEL', meta, 'mark')
  redis.call('HSET', meta, 'rewind:' .. redis.call('HINCRBY', meta, 'epoch', 1), '0-0')
  for _, consumer in ipairs(redis.call('ZRANGE', consumers, 0, -1)) do
    redis.call('HINCRBY', meta, 'gen:' .. consumer, 1)
  end
  return {fresh and '' or from, mayRepeat}
end
`;
