import { Script } from "../../connection/_script.ts";
import { DELIVER } from "../parts/_deliver.ts";
import { HOLDS } from "../parts/_holds.ts";
import { PRELUDE } from "../parts/_prelude.ts";
import { REMOVED } from "../parts/_removed.ts";

/**
 * Takes deliveries that returned to the group: due retries, released deliveries, deliveries of dead consumers, and deferred
 * deliveries that the consumer knows or that are expired for it.
 *
 * KEYS and ARGV: see the prelude, then
 *
 * - the lease in ms,
 * - how many deliveries to take at most,
 * - for how long in ms a consumer without a lease may be idle before it counts as dead,
 * - the highest version that the consumer knows,
 * - after how many ms a deferred delivery is expired (or empty for never).
 *
 * Reply:
 *
 * - the consumer's generation and the group's epoch,
 * - in how many ms the next parked delivery is due, or -1 if there is none,
 * - in how many ms the next lease of another consumer ends, or -1 if there is none,
 * - positions of deliveries whose entries are gone,
 * - the deliveries, as `deliver` gives them,
 * - the group's bell,
 * - unread entries that were removed, as "from to count" with a dash for an unknown count, or empty,
 * - for a group that holds keys, how many keys are held, and how often letters have ceased to hold one,
 * - the version of the group's control (or 0).
 *
 * Errors: `NAMETAKEN`, `OCCUPIED`, NOGROUP.
 */
function claim(holding: boolean): Script {
  return new Script(`${PRELUDE}${holding ? HOLDS : ""}${REMOVED}${DELIVER}
local limit = tonumber(ARGV[5])
local refused = renewLease(tonumber(ARGV[4]))
if refused then return refused end

local taken, room, left = {}, limit, 0
local function take(id, count, c, expired) taken[#taken + 1] = {id = id, count = count, copy = c, expired = expired} end

local version, deferTimeout = tonumber(ARGV[7]) or 1, tonumber(ARGV[8])
if version > 1 then redis.call('HSET', meta, 'version:' .. me, version) end

local parkedCount, foreign, deferred, waiting = 0, {}, {}, 0
-- Adds a page of the deliveries that were deferred for one version, as far as this consumer may take them.
local function addDeferred(keeper, pending)
  local args = {}
  if heldVersion(keeper) <= version then
    waiting = waiting + pending
  elseif deferTimeout then
    args[1], args[2] = 'IDLE', ARGV[8]
  else
    return
  end
  for _, part in ipairs({'-', '+', limit, keeper}) do args[#args + 1] = part end
  for _, row in ipairs(redis.call('XPENDING', stream, group, unpack(args))) do
    deferred[#deferred + 1] = {id = row[1], count = row[4], expired = heldVersion(keeper) > version}
  end
end

for _, info in ipairs(redis.call('XINFO', 'CONSUMERS', stream, group)) do
  local name, pending, idle = info[2], info[4], info[6]
  if name == '_retry' or name == '_released' then
    parkedCount = parkedCount + pending
  elseif heldVersion(name) then
    if pending > 0 then addDeferred(name, pending) else redis.call('XGROUP', 'DELCONSUMER', stream, group, name) end
  elseif name == '_waiting' then
    ${holding ? "returnStray(pending)" : ""}
  elseif name ~= me and not redis.call('ZSCORE', consumers, name) then
    if pending > 0 then
      foreign[#foreign + 1] = name
    elseif idle >= tonumber(ARGV[6]) and string.match(name, '%.%x%x%x%x%x%x%x%x%w+$') then
      -- A consumer of this store that left or died. A late read has created it again, and nothing else would remove it.
      redis.call('XGROUP', 'DELCONSUMER', stream, group, name)
      removeConsumer(name)
    end
  end
end
-- The sorted set has lost parked deliveries: they are due at once.
if parkedCount > redis.call('ZCARD', due) then
  for _, name in ipairs({'_retry', '_released'}) do
    for _, row in ipairs(redis.call('XPENDING', stream, group, '-', '+', 1000, name)) do
      if not redis.call('ZSCORE', due, row[1]) then redis.call('ZADD', due, text(now), row[1]) end
    end
  end
end

-- Parked deliveries come before those of dead consumers: among them may be the rest of an earlier dead consumer's.
for _, id in ipairs(redis.call('ZRANGEBYSCORE', due, '-inf', text(now), 'LIMIT', 0, room)) do
  redis.call('ZREM', due, id)
  local row = redis.call('XPENDING', stream, group, id, id, 1)[1]
  local c = not row and copyOf(id)
  if row or c then
    take(id, row and row[4] or c.count, c)
    room = room - 1
  else
    redis.call('HDEL', workKey, id)
  end
end

-- Takes a delivery of a dead consumer, or parks it if there is no room. If it ran exclusively, it has caused the death, which
-- counts as a failed attempt.
local function recover(id, count, c)
  local w = workOf(id)
  w.recovered = w.recovered + 1
  if w.isolated == 1 then countFailure(w) end
  saveWork(id, w)
  if w.retryAt > now then
    park(id, w.retryAt, '_retry', c)
  elseif room > 0 then
    take(id, count, c)
    room = room - 1
  else
    left = left + 1
    park(id, now - 1 + left / 1000, '_released', c)
  end
end

-- Takes the deliveries of a dead consumer. Its generation rises, so that it learns of that if it comes back. One call handles
-- only a hundred deliveries more than there is room for, so that the server is not blocked for long.
local looked, most = 0, room + 100
local function takeFrom(consumer, ...)
  local from = '-'
  while looked < most do
    local args = {...}
    args[#args + 1] = from
    args[#args + 1] = '+'
    args[#args + 1] = most - looked
    args[#args + 1] = consumer
    local rows = redis.call('XPENDING', stream, group, unpack(args))
    if #rows == 0 then break end
    if from == '-' then redis.call('HINCRBY', meta, 'gen:' .. consumer, 1) end
    looked = looked + #rows
    for _, row in ipairs(rows) do recover(row[1], row[4]) end
    from = '(' .. rows[#rows][1]
  end
end

local deadOnes = redis.call('ZRANGEBYSCORE', consumers, '-inf', text(now))
for _, consumer in ipairs(deadOnes) do takeFrom(consumer) end
if redis.call('HLEN', copies) > 0 then
  for _, id in ipairs(redis.call('HKEYS', copies)) do
    local c = copyOf(id)
    local held = heldVersion(c.owner)
    if held and held <= version then waiting = waiting + 1 end
    if held and (held <= version or deferTimeout and now - c.since >= deferTimeout) then
      deferred[#deferred + 1] = {id = id, count = c.count, copy = c, expired = held > version}
    end
    local expires = not held and c.owner ~= '' and redis.call('ZSCORE', consumers, c.owner)
    if not held and c.owner ~= '' and c.owner ~= '_waiting' and (not expires or tonumber(expires) <= now) then recover(id, c.count, c) end
  end
end
for _, consumer in ipairs(foreign) do takeFrom(consumer, 'IDLE', ARGV[6]) end

-- Deferred deliveries come in order of position, whatever their versions.
table.sort(deferred, function(a, b) return less(a.id, b.id) end)
for _, d in ipairs(deferred) do
  if room > 0 then
    take(d.id, d.count, d.copy, d.expired)
    room = room - 1
    if not d.expired then waiting = waiting - 1 end
  end
end

local reply, missing = deliver(taken)
noteRemoved(group, meta, 100)
local removed = redis.call('HGET', meta, 'removed') or ''
if removed ~= '' then redis.call('HDEL', meta, 'removed') end

-- Only now, because a dead consumer owns its deliveries until they are claimed.
for _, consumer in ipairs(deadOnes) do
  if #redis.call('XPENDING', stream, group, '-', '+', 1, consumer) == 0 then
    redis.call('XGROUP', 'DELCONSUMER', stream, group, consumer)
    removeConsumer(consumer)
  end
end

-- There is more than this consumer takes now, for other consumers.
if left > 0 or waiting > 0 then ringBell() end

local nextDue = firstDue()
local nextEnd = -1
local first = redis.call('ZRANGE', consumers, 0, 1, 'WITHSCORES')
for at = 1, #first, 2 do
  if nextEnd == -1 and first[at] ~= me then nextEnd = math.max(0, tonumber(first[at + 1]) - now) end
end
local state = redis.call('HMGET', meta, 'gen:' .. me, 'epoch', 'control', 'bell')
return {
  tonumber(state[1] or -1), tonumber(state[2] or 0),
  nextDue and math.max(0, nextDue - now) or -1, nextEnd, missing, reply, state[4] or '', removed${
    holding ? ", redis.call('HLEN', deadKeys), freedCount()" : ""
  }, state[3] or 0
}
`);
}

/** For groups that hold no keys. */
export const CLAIM: Script = claim(false);
/** For groups with `whenDead: "hold-key"`. */
export const CLAIM_HOLDING: Script = claim(true);
