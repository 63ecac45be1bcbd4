import { MAX_WAITING } from "../../../store/mod.ts";
import { Script } from "../../connection/_script.ts";
import { HOLDS } from "../parts/_holds.ts";
import { PRELUDE } from "../parts/_prelude.ts";

// Has a delivery wait for its key, if a letter below holds it and not too many wait; else the delivery returns at once.
const WAIT = `
local function waitFor(key, id, c)
  if not isBehind(id, key) or redis.call('ZCARD', waitingKey) >= ${MAX_WAITING} then
    returnFirst(id, c)
    return false
  end
  if c then
    c.owner = '_waiting'
    saveCopy(id, c)
  elseif #redis.call('XCLAIM', stream, group, '_waiting', 0, id, 'JUSTID') == 0 then
    -- The entry was removed, and XCLAIM has dropped the delivery. A copy without fields waits in its place.
    saveCopy(id, {owner = '_waiting', count = 0})
  end
  redis.call('ZADD', waitingKey, 0, prefixOf(key) .. padded(id))
  return true
end
`;

/**
 * Settles deliveries.
 *
 * KEYS and ARGV: see the prelude, then
 *
 * - the generation in which the plain deliveries were claimed,
 * - the number of plain deliveries, how many of them are of none of the group's types, and their positions: XACK alone
 *   settles them,
 * - eight arguments for each other outcome, empty where they do not apply: kind, position, epoch, delivery count, delay in
 *   ms or key, reason of a dead letter, a number, error of a dead letter as JSON. The number is the attempts of `dead`, the
 *   failed attempts of `retry` and `hold`, and the version of `defer`. `deadkey` is `dead` with a key, and `wait` has a key,
 *   too. The other kinds are `ack`, `skip`, `expire`, `release` and `isolate`.
 *
 * Plain deliveries are acknowledged only if the consumer's generation is the given one: then none of them was taken from
 * it. Else nothing is settled, the reply is 0, and the consumer sends all outcomes with their fences.
 *
 * Reply: 1, the refused positions, connections whose blocked reads are to be ended, and the group's bell before and after; for
 * a group that holds keys also how many keys are held, and how many deliveries came back that need not wait.
 */
function settle(holding: boolean): Script {
  return new Script(`${PRELUDE}${holding ? HOLDS : ""}
local plain, skipped, expired = tonumber(ARGV[5]), tonumber(ARGV[6]), 0
-- A dead consumer may still have read entries after an exclusive one had joined.
local only = redis.call('HGET', meta, 'exclusive')
if only and only ~= '' and only ~= me then
  if plain > 0 then return {0} end
  local all = {}
  for at = 7, #ARGV, 8 do all[#all + 1] = ARGV[at + 1] end
  return {1, all, {}, bell(), bell()}
end
if plain > 0 then
  if redis.call('HGET', meta, 'gen:' .. me) ~= ARGV[4] then return {0} end
  -- Lua unpacks only some thousands at once.
  for at = 7, 6 + plain, 1000 do
    redis.call('XACK', stream, group, unpack(ARGV, at, math.min(at + 999, 6 + plain)))
  end
end

local refused, wake, dueBefore, bellBefore = {}, 0, firstDue(), bell()
local deferred, newlyHeld, back = nil, false, 0

local function acknowledge(id, c)
  if c then redis.call('HDEL', copies, id) else redis.call('XACK', stream, group, id) end
  redis.call('HDEL', workKey, id)
end

local function addLetter(id, c, deliveries, reason, attempts, err, key)
  local w = workOf(id)
  local fields = c and c.fields
  if not fields then
    local entry = redis.call('XRANGE', stream, id, id)[1]
    fields = entry and entry[2] or {}
  end
  local last = (reason == 'died' and w.last > 0) and w.last or now
  local letter = {'position', id, 'reason', reason, 'attempts', attempts, 'consumer', me,
    'firstfailedat', text(w.first > 0 and w.first or now), 'lastfailedat', text(last), 'deliveries', deliveries, 'error', err,
    unpack(bounded(fields, 64 * 1048576))}
  if key then return redis.call('XADD', dead, '*', 'key', key, unpack(letter)) end
  return redis.call('XADD', dead, '*', unpack(letter))
end

${holding ? WAIT : ""}
for at = 7 + plain, #ARGV, 8 do
  local kind, id, since, count, delay, reason, attempts, err = unpack(ARGV, at, at + 7)
  local ours, c = holds(id, tonumber(since), tonumber(count))
  if not ours then
    refused[#refused + 1] = id
  elseif kind == 'ack' or kind == 'skip' or kind == 'expire' then
    acknowledge(id, c)
    if kind == 'skip' then skipped = skipped + 1 end
    if kind == 'expire' then expired = expired + 1 end
  elseif kind == 'dead' or kind == 'deadkey' then
    local letter = addLetter(id, c, count, reason, attempts, err, kind == 'deadkey' and delay)
    acknowledge(id, c)
    ${holding ? "if kind == 'deadkey' and hold(delay, id, letter) then newlyHeld = true end" : ""}
  else
    local w = workOf(id)
    local wait = tonumber(delay)
    if kind == 'wait' then
      wait = 0
      w.isolated = 0
      w.retryAt = 0
    elseif kind == 'isolate' then
      w.isolated = 1
    elseif kind == 'defer' then
      w.isolated = 0
      w.retryAt = 0
      deferred = math.min(deferred or tonumber(attempts), tonumber(attempts))
    elseif kind == 'release' then
      w.isolated = 0
      w.retryAt = wait > 0 and now + wait or 0
    else
      local failures = math.max(w.failures, tonumber(attempts))
      countFailure(w)
      w.failures = failures
      w.recovered = 0
      w.retryAt = now + wait
    end
    saveWork(id, w)
    if kind == 'defer' then defer(id, attempts, c) end
    if kind == 'wait' then
      ${holding ? "local waits = waitFor(delay, id, c)" : "local waits = false\n      park(id, now, '_released', c)"}
      if not waits then
        back = back + 1
        wake = 64
      end
    end
    if kind == 'retry' then park(id, w.retryAt, '_retry', c) end
    if kind == 'release' then
      park(id, now + wait, '_released', c)
      if wait == 0 then wake = 64 end
    end
  end
end
if skipped > 0 then redis.call('HINCRBY', meta, 'skipped', skipped) end
if expired > 0 then redis.call('HINCRBY', meta, 'expired', expired) end
saveCheckpoint()
-- Another consumer learns of an earlier due time, in case that this consumer is gone by then.
local dueNow = firstDue()
if dueNow and (not dueBefore or dueNow < dueBefore) then wake = math.max(wake, 1) end
local awake = blockedConnections(wake)
-- Deferred deliveries wake only consumers that know their version.
if deferred then
  local waiting, known = connectionsKnowing(deferred)
  for _, id in ipairs(waiting) do awake[#awake + 1] = id end
  if known then wake = math.max(wake, 1) end
end
-- Other consumers learn of a new held key by their next look.
if wake > 0 or newlyHeld then ringBell() end
return {1, refused, awake, bellBefore, bell()${holding ? ", redis.call('HLEN', deadKeys), back" : ""}}
`);
}

/** For groups that hold no keys. */
export const SETTLE: Script = settle(false);
/** For groups with `whenDead: "hold-key"`. */
export const SETTLE_HOLDING: Script = settle(true);
