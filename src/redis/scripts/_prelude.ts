import { POSITIONS } from "./_positions.ts";

/**
 * What the scripts of a group share. KEYS: stream, meta, consumers, due, work, redrive, dead, counting. ARGV[1] is the group,
 * ARGV[2] the consumer (or empty), ARGV[3] the life of the group that it joined (or empty): a group that was deleted
 * and made anew is another one, and refuses former members with GROUPDELETED.
 *
 * What is known of a delivery beside its place in the pending list stands in `work` by its id: failures, recoveries,
 * first and last failure, whether it runs alone, and when it is to be tried again. Most deliveries have no such line.
 */
export const READ_PRELUDE: string = `${POSITIONS}
local stream, meta, consumers, due, workKey, copies, dead, counting = unpack(KEYS)
local group, me = ARGV[1], ARGV[2]
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)

local function text(number) return string.format('%.0f', number) end

local function baseOf(consumer) return string.match(consumer, '^(.*)%.[^.]*$') or consumer end

local function work(id)
  local line = redis.call('HGET', workKey, id)
  if not line then return {failures = 0, recovered = 0, first = 0, last = 0, isolated = 0, retryAt = 0} end
  local f, r, a, z, i, t = string.match(line, '^(%d+) (%d+) (%d+) (%d+) (%d+) (%d+)$')
  return {failures = tonumber(f), recovered = tonumber(r), first = tonumber(a), last = tonumber(z),
    isolated = tonumber(i), retryAt = tonumber(t)}
end

local function keep(id, w)
  if w.failures == 0 and w.recovered == 0 and w.isolated == 0 and w.retryAt == 0 then
    redis.call('HDEL', workKey, id)
  else
    redis.call('HSET', workKey, id, w.failures .. ' ' .. w.recovered .. ' ' .. text(w.first) .. ' ' .. text(w.last)
      .. ' ' .. w.isolated .. ' ' .. text(w.retryAt))
  end
end

local function countFailure(w)
  w.failures = w.failures + 1
  w.isolated = 0
  if w.first == 0 then w.first = now end
  w.last = now
end

local function copy(id)
  local packed = redis.call('HGET', copies, id)
  return packed and cmsgpack.unpack(packed)
end

-- Fields without what is too large to be read: their size stands in its place.
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

local function keepCopy(id, c) redis.call('HSET', copies, id, cmsgpack.pack(c)) end

-- Parked deliveries belong to reserved consumers, so that trimming spares them and nobody takes them early.
local function park(id, at, reason, c)
  redis.call('ZADD', due, string.format('%.3f', at), id)
  if c then
    c.owner = ''
    keepCopy(id, c)
  elseif #redis.call('XCLAIM', stream, group, reason, 0, id, 'JUSTID') == 0 then
    -- Somebody removed the entry, and Redis has just forgotten it: whoever takes it next is to tell.
    keepCopy(id, {owner = '', count = 0})
  end
end

-- The version that a reserved consumer keeps what was deferred for.
local function heldVersion(consumer) return tonumber(string.match(consumer, '^_held:(%d+)$')) end

-- How long it has been there is how long it is idle, for a copy since when its owner is.
local function defer(id, version, c)
  local keeper = '_held:' .. version
  if c then
    c.owner = keeper
    c.since = now
    keepCopy(id, c)
  elseif #redis.call('XCLAIM', stream, group, keeper, 0, id, 'JUSTID') == 0 then
    -- The entry is gone: whoever comes next is to tell.
    park(id, now, '_released')
  end
end

-- The consumer is alive for another lease; somebody else's name when it was given up and its name taken meanwhile.
local function touch(lease)
  local expires = redis.call('ZSCORE', consumers, me)
  if not expires or tonumber(expires) <= now then
    for _, other in ipairs(redis.call('ZRANGEBYSCORE', consumers, '(' .. text(now), '+inf')) do
      if other ~= me and baseOf(other) == baseOf(me) then
        return redis.error_reply('NAMETAKEN ' .. other .. ' ' .. text(tonumber(redis.call('ZSCORE', consumers, other)) - now))
      end
    end
    -- Takings begin anew at a number that no claim of an earlier life can have seen.
    if redis.call('HEXISTS', meta, 'gen:' .. me) == 0 then
      redis.call('HSET', meta, 'gen:' .. me, redis.call('HINCRBY', meta, 'lives', 1) * 1000000)
    end
  end
  redis.call('ZADD', consumers, text(now + lease), me)
end

local function epoch() return tonumber(redis.call('HGET', meta, 'epoch') or 0) end

-- Whether a rewind since that epoch dropped what stood at this position.
local function rewound(since, id)
  for n = since + 1, epoch() do
    local to = redis.call('HGET', meta, 'rewind:' .. n)
    if to and to ~= '' and not less(id, to) then return true end
  end
  return false
end

-- Whether this very delivery is still this consumer's; the copy, if its entry is gone from the stream.
local function mine(id, since, count)
  local row = redis.call('XPENDING', stream, group, id, id, 1, me)[1]
  if row then return row[4] == count and not rewound(since, id) end
  local c = copy(id)
  if c and c.owner == me and c.count == count and not rewound(since, id) then return true, c end
  return false
end

-- How often something came back that no read tells of. Whoever is about to wait asks for it once more: since its last
-- look nobody can have told it.
local function bell() return redis.call('HGET', meta, 'bell') or '' end
local function ring() redis.call('HINCRBY', meta, 'bell', 1) end

-- Those whose blocked read should end, because something came back that no read will tell them of.
local function sleepers(most)
  local ids = {}
  if most == 0 then return ids end
  for _, c in ipairs(redis.call('ZRANGEBYSCORE', consumers, '(' .. text(now), '+inf')) do
    local id = c ~= me and redis.call('HGET', meta, 'conn:' .. c)
    if id then ids[#ids + 1] = id end
    if #ids == most then break end
  end
  return ids
end

-- The same of those who know a version. What they know is theirs to say with each look at what came back.
local function knowers(version)
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

-- When the first parked delivery is due.
local function firstDue()
  local score = redis.call('ZRANGE', due, 0, 0, 'WITHSCORES')[2]
  return score and tonumber(score)
end

local function forget(consumer)
  redis.call('ZREM', consumers, consumer)
  redis.call('HDEL', meta, 'gen:' .. consumer, 'lease:' .. consumer, 'stalled:' .. consumer, 'conn:' .. consumer,
    'version:' .. consumer)
end

-- Where a group that is lost should go on: its first unsettled entry, or after the last one it read.
local function checkpoint()
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

/** What begins every script of a group that writes. */
export const PRELUDE: string = `${READ_PRELUDE}
-- Out of memory, a script may add nothing unless it has written before: this removes nothing, and lets consumers go on
-- handling and settling what is there, which takes little and frees the rest. Appending is a script apart.
redis.call('ZREM', consumers, '')

local life = redis.call('HGET', meta, 'life')
if ARGV[3] ~= '' and (life and life ~= ARGV[3] or redis.call('HEXISTS', meta, 'deleted') == 1) then
  return redis.error_reply('GROUPDELETED ' .. group)
end
`;
