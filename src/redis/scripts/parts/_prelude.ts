import { POSITIONS } from "./_positions.ts";

/**
 * The beginning of all scripts of a group.
 *
 * KEYS: as `keyList` gives them: stream, meta, consumers, due, work, redrive, dead, counting. ARGV: the group, the consumer
 * (or empty), and the life of the group that the consumer joined (or empty), then the arguments of the script.
 *
 * Terms:
 * - The *pending list* is Redis' own list of deliveries, XPENDING. *Parked* deliveries stand there under the reserved
 *   consumers `_retry` and `_released`, and in the sorted set `due`.
 * - The hash `work` has a line for each delivery that failed or was recovered: failures, recoveries, time of the first and
 *   of the last failure, whether it runs exclusively, and when it is due. Most deliveries have none.
 * - The hash `redrive` has a *copy* of each delivery that was redriven or parked after its entry was removed from the stream.
 *   Such a delivery cannot be in the pending list, so its copy has the owner and the delivery count.
 * - A consumer's *generation*, field `gen:` of the meta hash, rises whenever deliveries are taken from the consumer.
 * - The group's *bell*, field `bell`, rises when deliveries return to the group: consumers compare it before they wait.
 */
export const READ_PRELUDE: string = `${POSITIONS}
local stream, meta, consumers, due, workKey, copies, dead, counting = unpack(KEYS)
local group, me = ARGV[1], ARGV[2]
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)

-- A number of milliseconds as text. Lua would write a large one with an exponent.
local function text(number) return string.format('%.0f', number) end

-- The name of a consumer without its incarnation.
local function baseOf(consumer) return string.match(consumer, '^(.*)%.[^.]*$') or consumer end

-- The line of a delivery in the hash "work": six numbers, and behind them what its consumers keep, as JSON.
local function workOf(id)
  local line = redis.call('HGET', workKey, id)
  if not line then return {failures = 0, recovered = 0, first = 0, last = 0, isolated = 0, retryAt = 0, kept = ''} end
  local f, r, a, z, i, t, kept = string.match(line, '^(%d+) (%d+) (%d+) (%d+) (%d+) (%d+) ?(.*)$')
  return {failures = tonumber(f), recovered = tonumber(r), first = tonumber(a), last = tonumber(z),
    isolated = tonumber(i), retryAt = tonumber(t), kept = kept}
end

-- Stores the line of a delivery, or removes one that says nothing.
local function saveWork(id, w)
  if w.failures == 0 and w.recovered == 0 and w.isolated == 0 and w.retryAt == 0 and w.kept == '' then
    redis.call('HDEL', workKey, id)
  else
    redis.call('HSET', workKey, id, w.failures .. ' ' .. w.recovered .. ' ' .. text(w.first) .. ' ' .. text(w.last)
      .. ' ' .. w.isolated .. ' ' .. text(w.retryAt) .. (w.kept == '' and '' or ' ' .. w.kept))
  end
end

local function countFailure(w)
  w.failures = w.failures + 1
  w.isolated = 0
  if w.first == 0 then w.first = now end
  w.last = now
end

-- The copy of a delivery in the hash "redrive": owner, count, fields, and since when it is deferred. False without one.
local function copyOf(id)
  local packed = redis.call('HGET', copies, id)
  return packed and cmsgpack.unpack(packed)
end

-- The fields of an entry; of a larger one only its small fields, and its size as the field "toolarge".
local function bounded(fields, most)
  local size = 0
  for at = 1, #fields do size = size + #fields[at] end
  if size <= most then return fields end
  local kept = {}
  for at = 1, #fields, 2 do
    if #fields[at] + #fields[at + 1] <= 1000 and #kept < 64 then
      kept[#kept + 1] = fields[at]
      kept[#kept + 1] = fields[at + 1]
    end
  end
  kept[#kept + 1] = 'toolarge'
  kept[#kept + 1] = text(size)
  return kept
end

local function saveCopy(id, c) redis.call('HSET', copies, id, cmsgpack.pack(c)) end

-- Returns a delivery to the group, to be taken when its score is due. A reserved consumer owns it until then, so that
-- trimming keeps its entry and no consumer takes it early.
local function parkAt(id, score, reason, c)
  redis.call('ZADD', due, score, id)
  if c then
    c.owner = ''
    saveCopy(id, c)
  elseif #redis.call('XCLAIM', stream, group, reason, 0, id, 'JUSTID') == 0 then
    -- The entry was removed, and XCLAIM has dropped the delivery. CLAIM reports it as missing by this copy without fields.
    saveCopy(id, {owner = '', count = 0})
  end
end
local function park(id, at, reason, c) parkAt(id, string.format('%.3f', at), reason, c) end

-- The version of the deferred deliveries that a reserved consumer owns; nil for other consumers.
local function heldVersion(consumer) return tonumber(string.match(consumer, '^_held:(%d+)$')) end

-- Defers a delivery until a consumer knows its version. Its idle time is the waiting time; a copy has the field "since".
local function defer(id, version, c)
  local keeper = '_held:' .. version
  if c then
    c.owner = keeper
    c.since = now
    saveCopy(id, c)
  elseif #redis.call('XCLAIM', stream, group, keeper, 0, id, 'JUSTID') == 0 then
    -- The entry is gone: the next look reports it.
    park(id, now, '_released')
  end
end

local function leaseExpired()
  local expires = redis.call('ZSCORE', consumers, me)
  return not expires or tonumber(expires) <= now
end

-- An error if this consumer has no lease, and another consumer with its name has one.
local function nameTaken()
  if not leaseExpired() then return nil end
  for _, other in ipairs(redis.call('ZRANGEBYSCORE', consumers, '(' .. text(now), '+inf')) do
    if other ~= me and baseOf(other) == baseOf(me) then
      return redis.error_reply('NAMETAKEN ' .. other .. ' ' .. text(tonumber(redis.call('ZSCORE', consumers, other)) - now))
    end
  end
end

-- An error if this consumer cannot be in the group beside another one, because one of the two is exclusive. The field
-- "exclusive" names the consumer that joined last, if that one is exclusive; else it is empty or missing.
local function occupied(exclusive, joins)
  local only, holder, ends = redis.call('HGET', meta, 'exclusive'), nil, nil
  if exclusive then
    -- The last lease to end decides when the group is free.
    local alive = redis.call('ZRANGEBYSCORE', consumers, '(' .. text(now), '+inf', 'WITHSCORES')
    for at = 1, #alive, 2 do
      if alive[at] ~= me then holder, ends = alive[at], tonumber(alive[at + 1]) end
    end
  elseif only and only ~= '' and only ~= me then
    ends = tonumber(redis.call('ZSCORE', consumers, only) or 0)
    if ends > now then holder = only end
  end
  if holder then return redis.error_reply('OCCUPIED ' .. holder .. ' ' .. text(ends - now)) end
  -- An exclusive consumer never comes back once another one has joined, even if that one has left.
  if exclusive and not joins and only and only ~= me then return redis.error_reply('OCCUPIED - 0') end
end

-- Renews the consumer's lease. Returns an error if the consumer was given up and cannot come back beside another one.
local function renewLease(lease, exclusive, joins)
  if leaseExpired() then
    local refused = nameTaken() or occupied(exclusive, joins)
    if refused then return refused end
    if exclusive then
      redis.call('HSET', meta, 'exclusive', me)
    elseif (redis.call('HGET', meta, 'exclusive') or '') ~= '' then
      redis.call('HSET', meta, 'exclusive', '')
    end
    -- A consumer that joins again begins with a generation that none of its earlier fences has.
    if redis.call('HEXISTS', meta, 'gen:' .. me) == 0 then
      redis.call('HSET', meta, 'gen:' .. me, redis.call('HINCRBY', meta, 'lives', 1) * 1000000)
    end
  end
  redis.call('ZADD', consumers, text(now + lease), me)
end

-- The life of a group ends with a hash of its terms, so that scripts refuse consumers with other ones: all have to compare
-- the life anyway. The terms are its event types, and whether it holds keys ("hold-key" or empty).
local function baseOfLife(life) return string.match(life, '^[^/]*') end
local function lifeWith(life, types, whenDead)
  local terms = whenDead == '' and types or types .. '\\n' .. whenDead
  return terms == '' and baseOfLife(life) or baseOfLife(life) .. '/' .. string.sub(redis.sha1hex(terms), 1, 12)
end
local function termsOf()
  local terms = redis.call('HMGET', meta, 'types', 'whendead')
  return terms[1] or '', terms[2] or ''
end
-- Stores the terms, and returns the life with their hash.
local function saveTerms(life, types, whenDead)
  if types == '' then redis.call('HDEL', meta, 'types') else redis.call('HSET', meta, 'types', types) end
  if whenDead == '' then redis.call('HDEL', meta, 'whendead') else redis.call('HSET', meta, 'whendead', whenDead) end
  redis.call('HSET', meta, 'life', lifeWith(life, types, whenDead))
end
local function termsDiffer(types, whenDead)
  return redis.error_reply('TERMSDIFFER ' .. (whenDead == '' and 'continue' or whenDead) .. ' ' .. types)
end

local function epoch() return tonumber(redis.call('HGET', meta, 'epoch') or 0) end

-- Whether a rewind since that epoch has dropped the deliveries at this position.
local function rewound(since, id)
  for n = since + 1, epoch() do
    local to = redis.call('HGET', meta, 'rewind:' .. n)
    if to and to ~= '' and not less(id, to) then return true end
  end
  return false
end

-- Whether the consumer still holds the delivery with this fence. Also returns the copy of an entry that is gone.
local function holds(id, since, count)
  local row = redis.call('XPENDING', stream, group, id, id, 1, me)[1]
  if row then return row[4] == count and not rewound(since, id) end
  local c = copyOf(id)
  if c and c.owner == me and c.count == count and not rewound(since, id) then return true, c end
  return false
end

-- The group's bell. Consumers read it once more before they wait, because no other consumer can wake them until then.
local function bell() return redis.call('HGET', meta, 'bell') or '' end
local function ringBell() redis.call('HINCRBY', meta, 'bell', 1) end

-- Connections of consumers whose blocked reads are to be ended, because deliveries returned to the group.
local function blockedConnections(most)
  local ids = {}
  if most == 0 then return ids end
  for _, c in ipairs(redis.call('ZRANGEBYSCORE', consumers, '(' .. text(now), '+inf')) do
    local id = c ~= me and redis.call('HGET', meta, 'conn:' .. c)
    if id then ids[#ids + 1] = id end
    if #ids == most then break end
  end
  return ids
end

-- The same for consumers that know a version, and whether there are any. CLAIM stores the version of its consumer.
local function connectionsKnowing(version)
  local ids, any = {}, false
  for _, c in ipairs(redis.call('ZRANGEBYSCORE', consumers, '(' .. text(now), '+inf')) do
    local known = c ~= me and redis.call('HGET', meta, 'version:' .. c)
    if known and tonumber(known) >= version then
      any = true
      ids[#ids + 1] = redis.call('HGET', meta, 'conn:' .. c) or nil
    end
  end
  return ids, any
end

-- The time when the first parked delivery is due.
local function firstDue()
  local score = redis.call('ZRANGE', due, 0, 0, 'WITHSCORES')[2]
  return score and tonumber(score)
end

-- Removes everything about a consumer.
local function removeConsumer(consumer)
  redis.call('ZREM', consumers, consumer)
  redis.call('HDEL', meta, 'gen:' .. consumer, 'lease:' .. consumer, 'stalled:' .. consumer, 'conn:' .. consumer,
    'version:' .. consumer, 'serial:' .. consumer)
end

-- Stores where the group goes on if it is lost: at its first unsettled entry, or after the last one that it has read.
local function saveCheckpoint()
  local first = redis.call('XPENDING', stream, group, '-', '+', 1)[1]
  if first then
    redis.call('HSET', meta, 'checkpoint', first[1], 'including', 1)
    return
  end
  for _, info in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
    if info[2] == group then redis.call('HSET', meta, 'checkpoint', info[8], 'including', 0) end
  end
end
`;

/** The beginning of all scripts of a group that write. They refuse members of a group that was deleted or has other terms. */
export const PRELUDE: string = `${READ_PRELUDE}
-- Out of memory, a script may add data only after another write. This one removes nothing, and lets consumers go on and
-- settle their deliveries, which needs little memory and frees more. APPEND does not do this.
redis.call('ZREM', consumers, '')

local life = redis.call('HGET', meta, 'life')
if ARGV[3] ~= '' then
  local deleted = redis.call('HEXISTS', meta, 'deleted') == 1
  if deleted or life and baseOfLife(life) ~= baseOfLife(ARGV[3]) then
    return redis.error_reply('GROUPDELETED ' .. group)
  end
  if life and life ~= ARGV[3] then
    return termsDiffer(termsOf())
  end
end
`;
