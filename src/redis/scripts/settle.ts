import { Script } from "../connection/_script.ts";
import { PRELUDE } from "./parts/_prelude.ts";

/**
 * Settles deliveries.
 *
 * KEYS and ARGV: see the prelude, then
 *
 * - the generation in which the plain deliveries were claimed,
 * - the number of plain deliveries, how many of them are of none of the group's types, and their positions: XACK alone
 *   settles them,
 * - eight arguments for each other outcome, empty where they do not apply: kind, position, epoch, delivery count, delay in
 *   ms, reason of a dead letter, a number, error of a dead letter as JSON. The number is the attempts of `dead`, the failed
 *   attempts of `retry` and `hold`, and the version of `defer`. The other kinds are `ack`, `skip`,
 *   `release` and `isolate`.
 *
 * Plain deliveries are acknowledged only if the consumer's generation is the given one: then none of them was taken from
 * it. Else nothing is settled, the reply is 0, and the consumer sends all outcomes with their fences.
 *
 * Reply: 1, the refused positions, connections whose blocked reads are to be ended, and the group's bell before and after.
 */
export const SETTLE: Script = new Script(`${PRELUDE}
local plain, skipped = tonumber(ARGV[5]), tonumber(ARGV[6])
-- A dead consumer may still have read entries after an exclusive one had joined.
local only = redis.call('HGET', meta, 'exclusive')
if only and only ~= '' and only ~= me then
  local all = {}
  for at = 7, 6 + plain do all[#all + 1] = ARGV[at] end
  for at = 7 + plain, #ARGV, 8 do all[#all + 1] = ARGV[at + 1] end
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
local deferred = nil

local function acknowledge(id, c)
  if c then redis.call('HDEL', copies, id) else redis.call('XACK', stream, group, id) end
  redis.call('HDEL', workKey, id)
end

local function addLetter(id, c, deliveries, reason, attempts, err)
  local w = workOf(id)
  local fields = c and c.fields
  if not fields then
    local entry = redis.call('XRANGE', stream, id, id)[1]
    fields = entry and entry[2] or {}
  end
  local last = (reason == 'died' and w.last > 0) and w.last or now
  redis.call('XADD', dead, '*', 'position', id, 'reason', reason, 'attempts', attempts, 'consumer', me,
    'firstfailedat', text(w.first > 0 and w.first or now), 'lastfailedat', text(last), 'deliveries', deliveries, 'error', err,
    unpack(bounded(fields, 64 * 1048576)))
end

for at = 7 + plain, #ARGV, 8 do
  local kind, id, since, count, delay, reason, attempts, err = unpack(ARGV, at, at + 7)
  local ours, c = holds(id, tonumber(since), tonumber(count))
  if not ours then
    refused[#refused + 1] = id
  elseif kind == 'ack' or kind == 'skip' then
    acknowledge(id, c)
    if kind == 'skip' then skipped = skipped + 1 end
  elseif kind == 'dead' then
    addLetter(id, c, count, reason, attempts, err)
    acknowledge(id, c)
  else
    local w = workOf(id)
    local wait = tonumber(delay)
    if kind == 'isolate' then
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
    if kind == 'retry' then park(id, w.retryAt, '_retry', c) end
    if kind == 'release' then
      park(id, now + wait, '_released', c)
      if wait == 0 then wake = 64 end
    end
  end
end
if skipped > 0 then redis.call('HINCRBY', meta, 'skipped', skipped) end
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
if wake > 0 then ringBell() end
return {1, refused, awake, bellBefore, bell()}
`);
