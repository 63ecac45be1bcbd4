import { Script } from "./_script.ts";
import { PRELUDE } from "./_prelude.ts";

/**
 * Settles deliveries.
 *
 * KEYS: as the prelude says. ARGV: group, consumer, life, takings that the plain acks' claims saw, how many plain acks, their
 * ids, then eight arguments for each other outcome: kind, id, epoch, delivery count, delay, reason, attempts, error as
 * JSON; empty where they do not apply; the attempts of `retry` and `hold` are those that failed by now, and of `defer` it is the version. Kinds: `ack`,
 * `retry`, `hold`, `release`, `defer`, `dead`, `isolate`.
 *
 * Plain acks are acknowledged without a look if nothing was ever taken from this consumer since their claims. Reply:
 * 1 and the ids refused; or 0 when something was, so that each must be given as `ack` with its fence; then connections
 * whose blocked reads should end, and the bell before and after.
 */
export const SETTLE: Script = new Script(`${PRELUDE}
local plain = tonumber(ARGV[5])
if plain > 0 then
  if redis.call('HGET', meta, 'gen:' .. me) ~= ARGV[4] then return {0} end
  -- Lua unpacks only some thousands at once.
  for at = 6, 5 + plain, 1000 do
    redis.call('XACK', stream, group, unpack(ARGV, at, math.min(at + 999, 5 + plain)))
  end
end

local refused, wake, dueBefore, bellBefore = {}, 0, firstDue(), bell()
local deferred = nil

local function acknowledge(id, c)
  if c then redis.call('HDEL', copies, id) else redis.call('XACK', stream, group, id) end
  redis.call('HDEL', workKey, id)
end

local function bringLetter(id, c, deliveries, reason, attempts, err)
  local w = work(id)
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

for at = 6 + plain, #ARGV, 8 do
  local kind, id, since, count, delay, reason, attempts, err = unpack(ARGV, at, at + 7)
  local ours, c = mine(id, tonumber(since), tonumber(count))
  if not ours then
    refused[#refused + 1] = id
  elseif kind == 'ack' then
    acknowledge(id, c)
  elseif kind == 'dead' then
    bringLetter(id, c, count, reason, attempts, err)
    acknowledge(id, c)
  else
    local w = work(id)
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
    keep(id, w)
    if kind == 'defer' then defer(id, attempts, c) end
    if kind == 'retry' then park(id, w.retryAt, '_retry', c) end
    if kind == 'release' then
      park(id, now + wait, '_released', c)
      if wait == 0 then wake = 64 end
    end
  end
end
checkpoint()
-- One other must know when to look, should this consumer not be there then: it sees to all that follows.
local dueNow = firstDue()
if dueNow and (not dueBefore or dueNow < dueBefore) then wake = math.max(wake, 1) end
local awake = sleepers(wake)
-- Nobody is woken, and nobody has to look, for what nobody knows.
if deferred then
  local waiting, known = knowers(deferred)
  for _, id in ipairs(waiting) do awake[#awake + 1] = id end
  if known then wake = math.max(wake, 1) end
end
if wake > 0 then ring() end
return {1, refused, awake, bellBefore, bell()}
`);
