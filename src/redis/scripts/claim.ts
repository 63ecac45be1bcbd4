import { Script } from "./_script.ts";
import { HAND } from "./_hand.ts";
import { PRELUDE } from "./_prelude.ts";
import { REMOVED } from "./_removed.ts";

/**
 * Takes what came back to the group: retries that are due, what was handed back, what dead consumers held, and what was
 * deferred and is known here, or was waiting for too long.
 *
 * KEYS: as the prelude says. ARGV: group, consumer, life, lease in ms, limit, how long in ms a consumer without a lease may
 * be idle, the version that this one knows, how long in ms what it does not know waits for another (or empty: for ever). Reply: takings of the consumer, epoch, ms until something falls due or -1, ms until another's lease ends or -1,
 * positions whose entries are gone; for each delivery taken: id, delivery count, failures, recoveries, fields, 1
 * unless it may be settled as a plain ack, then 1 if it is unknown here and has waited for too long; then the bell, and the unread
 * entries that were removed, as "from to count" (a dash if unknown) or empty.
 * Errors: `NAMETAKEN`, NOGROUP.
 */
export const CLAIM: Script = new Script(`${PRELUDE}${REMOVED}${HAND}
local limit = tonumber(ARGV[5])
local refused = touch(tonumber(ARGV[4]))
if refused then return refused end

local taken, room, left = {}, limit, 0
local function take(id, count, c, expired) taken[#taken + 1] = {id = id, count = count, copy = c, expired = expired} end

local version, deferTimeout = tonumber(ARGV[7]) or 1, tonumber(ARGV[8])
if version > 1 then redis.call('HSET', meta, 'version:' .. me, version) end

local parkedCount, foreign, deferred, waiting = 0, {}, {}, 0
-- A page of what was deferred for one version, if it is this consumer's to take.
local function offer(keeper, pending)
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
    if pending > 0 then offer(name, pending) else redis.call('XGROUP', 'DELCONSUMER', stream, group, name) end
  elseif name ~= me and not redis.call('ZSCORE', consumers, name) then
    if pending > 0 then
      foreign[#foreign + 1] = name
    elseif idle >= tonumber(ARGV[6]) and string.match(name, '%.%x%x%x%x%x%x%x%x%w+$') then
      -- A read that came late makes a consumer of ours anew, and nobody else would ever remove it.
      redis.call('XGROUP', 'DELCONSUMER', stream, group, name)
      forget(name)
    end
  end
end
-- The sorted set was lost: what is parked and stands in it no more is due at once.
if parkedCount > redis.call('ZCARD', due) then
  for _, name in ipairs({'_retry', '_released'}) do
    for _, row in ipairs(redis.call('XPENDING', stream, group, '-', '+', 1000, name)) do
      if not redis.call('ZSCORE', due, row[1]) then redis.call('ZADD', due, text(now), row[1]) end
    end
  end
end

-- Before what the dead hold: what there was no room for of an earlier one's stands here, in its order.
for _, id in ipairs(redis.call('ZRANGEBYSCORE', due, '-inf', text(now), 'LIMIT', 0, room)) do
  redis.call('ZREM', due, id)
  local row = redis.call('XPENDING', stream, group, id, id, 1)[1]
  local c = not row and copy(id)
  if row or c then
    take(id, row and row[4] or c.count, c)
    room = room - 1
  else
    redis.call('HDEL', workKey, id)
  end
end

-- One more death; what ran alone was its cause, and that counts as an attempt.
local function recover(id, count, c)
  local w = work(id)
  w.recovered = w.recovered + 1
  if w.isolated == 1 then countFailure(w) end
  keep(id, w)
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

-- What the dead held is anybody's from now on, also should they come back. Little more of it than there is room for is
-- looked at in one call: none holds the server for long.
local looked, most = 0, room + 100
local function bury(consumer, ...)
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
for _, consumer in ipairs(deadOnes) do bury(consumer) end
if redis.call('HLEN', copies) > 0 then
  for _, id in ipairs(redis.call('HKEYS', copies)) do
    local c = copy(id)
    local held = heldVersion(c.owner)
    if held and held <= version then waiting = waiting + 1 end
    if held and (held <= version or deferTimeout and now - c.since >= deferTimeout) then
      deferred[#deferred + 1] = {id = id, count = c.count, copy = c, expired = held > version}
    end
    local expires = not held and c.owner ~= '' and redis.call('ZSCORE', consumers, c.owner)
    if not held and c.owner ~= '' and (not expires or tonumber(expires) <= now) then recover(id, c.count, c) end
  end
end
for _, consumer in ipairs(foreign) do bury(consumer, 'IDLE', ARGV[6]) end

-- Of several versions what stands first comes first.
table.sort(deferred, function(a, b) return less(a.id, b.id) end)
for _, d in ipairs(deferred) do
  if room > 0 then
    take(d.id, d.count, d.copy, d.expired)
    room = room - 1
    if not d.expired then waiting = waiting - 1 end
  end
end

local reply, missing = hand(taken)
noteRemoved(group, meta, 100)
local removed = redis.call('HGET', meta, 'removed') or ''
if removed ~= '' then redis.call('HDEL', meta, 'removed') end

-- Only now, since what was taken stood under the dead one's name until it was claimed.
for _, consumer in ipairs(deadOnes) do
  if #redis.call('XPENDING', stream, group, '-', '+', 1, consumer) == 0 then
    redis.call('XGROUP', 'DELCONSUMER', stream, group, consumer)
    forget(consumer)
  end
end

-- There is more of it than this consumer takes now: the others need not wait until they look by themselves.
if left > 0 or waiting > 0 then ring() end

local nextDue = firstDue()
local nextEnd = -1
local first = redis.call('ZRANGE', consumers, 0, 1, 'WITHSCORES')
for at = 1, #first, 2 do
  if nextEnd == -1 and first[at] ~= me then nextEnd = math.max(0, tonumber(first[at + 1]) - now) end
end
return {
  tonumber(redis.call('HGET', meta, 'gen:' .. me) or -1), epoch(),
  nextDue and math.max(0, nextDue - now) or -1, nextEnd, missing, reply, bell(), removed
}
`);
