/**
 * Lua function that gives deliveries to the consumer, for CLAIM and ADOPT. It stands behind the prelude.
 *
 * It takes a list of tables: `id`, `count` (deliveries so far), `copy` (if its entry is gone) and `expired` (if no consumer
 * that knows its version came in time). It returns a list of deliveries, and the positions whose entries are gone. Each
 * delivery is a list: position, delivery count, failures, recoveries, fields, 1 unless XACK alone settles it, 1 if it is
 * expired, and in how many ms its retry is due.
 */
export const DELIVER: string = `
local function deliver(taken)
  local reply, missing, claims, entries = {}, {}, {}, {}
  for _, t in ipairs(taken) do if not t.copy then claims[#claims + 1] = t.id end end
  -- Lua unpacks only some thousands at once.
  for at = 1, #claims, 1000 do
    local chunk = {unpack(claims, at, math.min(at + 999, #claims))}
    for _, entry in ipairs(redis.call('XCLAIM', stream, group, me, 0, unpack(chunk))) do
      if entry and entry[2] then entries[entry[1]] = entry[2] end
    end
  end
  for _, t in ipairs(taken) do
    local fields = entries[t.id]
    local w = workOf(t.id)
    -- Only an exclusive consumer gets a delivery before its retry is due. The due time stays, in case that it dies.
    local dueIn = math.max(0, w.retryAt - now)
    if dueIn == 0 and w.retryAt > 0 then
      w.retryAt = 0
      saveWork(t.id, w)
    end
    if t.copy and not t.copy.fields then
      redis.call('HDEL', copies, t.id)
    elseif t.copy then
      t.copy.owner = me
      t.copy.since = nil
      t.copy.count = t.copy.count + 1
      saveCopy(t.id, t.copy)
      fields = t.copy.fields
    end
    if fields then
      -- XACK alone does not remove a line of "work" or a copy.
      local plain = w.failures == 0 and w.recovered == 0 and dueIn == 0 and not t.copy and w.kept == ''
      -- No larger payload can be decoded, and a reply with it may have crashed the consumer that took it before.
      fields = bounded(fields, 192 * 1048576)
      reply[#reply + 1] = {
        t.id, t.count + 1, w.failures, w.recovered, fields, plain and 0 or 1, t.expired and 1 or 0, dueIn
      }
    else
      missing[#missing + 1] = t.id
      redis.call('HDEL', workKey, t.id)
    end
  end
  return reply, missing
end
`;
