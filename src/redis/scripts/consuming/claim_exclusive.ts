import { Script } from "../../connection/_script.ts";
import { DELIVER } from "../parts/_deliver.ts";
import { HOLDS } from "../parts/_holds.ts";
import { OTHERS } from "../parts/_others.ts";
import { PRELUDE } from "../parts/_prelude.ts";
import { REMOVED } from "../parts/_removed.ts";

/**
 * Takes deliveries for an exclusive consumer, in order of position: first all that returned to the group, also those whose
 * retry is not due yet; then deferred ones that the consumer knows or that are expired for it; and only when there are none,
 * unread entries. The consumer also reads by a command of its own, which costs the server less; see CONFIRM_READ.
 *
 * Deliveries of the consumer of which it does not know, because a reply was lost or came too late, return to the group first,
 * so that they come in order with all others.
 *
 * KEYS and ARGV: see the prelude, then
 *
 * - the lease in ms,
 * - how many deliveries to take at most; 0 takes none, and keeps earlier calls from taking any,
 * - the number of the call, which rises: a call whose number is not above that of an earlier one takes nothing,
 * - the highest version that the consumer knows,
 * - after how many ms a deferred delivery is expired (or empty for never),
 * - the last position up to which the consumer knows its deliveries: those behind it return to the group,
 * - the group's epoch as the consumer knows it: of later rewinds, the consumer does not know what was read since,
 * - positions of more deliveries that return to the group, if the consumer has them.
 *
 * Reply: as that of CLAIM without times, then the unread entries, the last position that the group has read, and for a group that holds keys, how many keys are held, and how often letters have
 * ceased to hold one; and the version of the group's control (or 0). Errors: `NAMETAKEN`, `OCCUPIED`, `LATE`, NOGROUP.
 */
function claimExclusive(holding: boolean): Script {
  return new Script(`${PRELUDE}${holding ? HOLDS : ""}${REMOVED}${DELIVER}${OTHERS}
local limit, serial = tonumber(ARGV[5]), tonumber(ARGV[6])
if serial <= tonumber(redis.call('HGET', meta, 'serial:' .. me) or 0) then return redis.error_reply('LATE ' .. serial) end
local refused = renewLease(tonumber(ARGV[4]), true)
if refused then return refused end
redis.call('HSET', meta, 'serial:' .. me, serial)

local function giveBack(id, c)
  local retryAt = workOf(id).retryAt
  park(id, math.max(now, retryAt), retryAt > now and '_retry' or '_released', c)
end
local known = ARGV[9]
for n = tonumber(ARGV[10]) + 1, epoch() do
  local to = redis.call('HGET', meta, 'rewind:' .. n)
  if to and to ~= '' and not less(known, to) then known = before(to) end
end
while true do
  local rows = redis.call('XPENDING', stream, group, '(' .. known, '+', 1000, me)
  for _, row in ipairs(rows) do giveBack(row[1]) end
  if #rows < 1000 then break end
end
for at = 11, #ARGV do
  local id = ARGV[at]
  local c = copyOf(id)
  if #redis.call('XPENDING', stream, group, id, id, 1, me) == 1 then
    giveBack(id)
  elseif c and c.owner == me then
    giveBack(id, c)
  end
end

if limit == 0 then return {} end
local version, deferTimeout = tonumber(ARGV[7]) or 1, tonumber(ARGV[8])
if version > 1 then redis.call('HSET', meta, 'version:' .. me, version) end

endOthers()
local parked, deferred = {}, {}
for _, info in ipairs(redis.call('XINFO', 'CONSUMERS', stream, group)) do
  local name, pending = info[2], info[4]
  local held = heldVersion(name)
  if held and pending == 0 then
    redis.call('XGROUP', 'DELCONSUMER', stream, group, name)
  elseif held and (held <= version or deferTimeout) then
    local args = held <= version and {} or {'IDLE', ARGV[8]}
    for _, part in ipairs({'-', '+', limit, name}) do args[#args + 1] = part end
    for _, row in ipairs(redis.call('XPENDING', stream, group, unpack(args))) do
      deferred[#deferred + 1] = {id = row[1], count = row[4], expired = held > version}
    end
  ${
    holding
      ? "elseif name == '_waiting' then\n    returnStray(pending)\n  "
      : ""
  }elseif name == '_retry' or name == '_released' then
    for _, row in ipairs(redis.call('XPENDING', stream, group, '-', '+', limit + 1, name)) do
      parked[#parked + 1] = {id = row[1], count = row[4]}
    end
  end
end
if redis.call('HLEN', copies) > 0 then
  for _, id in ipairs(redis.call('HKEYS', copies)) do
    local c = copyOf(id)
    local held = heldVersion(c.owner)
    if c.owner == '' then
      parked[#parked + 1] = {id = id, count = c.count, copy = c}
    elseif held and (held <= version or deferTimeout and now - c.since >= deferTimeout) then
      deferred[#deferred + 1] = {id = id, count = c.count, copy = c, expired = held > version}
    end
  end
end
local function byPosition(a, b) return less(a.id, b.id) end
table.sort(parked, byPosition)
table.sort(deferred, byPosition)
-- The sorted set may have more than what is parked: nothing else would remove that.
if #parked == 0 then redis.call('DEL', due) end
local taken = {}
for at = 1, math.min(limit, #parked) do
  taken[at] = parked[at]
  redis.call('ZREM', due, parked[at].id)
end
if #parked <= limit then
  for at = 1, math.min(limit - #taken, #deferred) do taken[#taken + 1] = deferred[at] end
end

local reply, missing = deliver(taken)
noteRemoved(group, meta, 100)
local removed = redis.call('HGET', meta, 'removed') or ''
if removed ~= '' then redis.call('HDEL', meta, 'removed') end

local fresh, last = {}, ''
if #reply == 0 and #parked <= limit then
  local read = redis.call('XREADGROUP', 'GROUP', group, me, 'COUNT', limit, 'STREAMS', stream, '>')
  if read then fresh = read[1][2] end
end
for _, info in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
  if info[2] == group then last = info[8] end
end
return {
  tonumber(redis.call('HGET', meta, 'gen:' .. me) or -1), epoch(), -1, -1, missing, reply, bell(), removed, fresh, last${
    holding ? ", redis.call('HLEN', deadKeys), freedCount()" : ""
  }, redis.call('HGET', meta, 'control') or 0
}
`);
}

/** For groups that hold no keys. */
export const CLAIM_EXCLUSIVE: Script = claimExclusive(false);
/** For groups with `whenDead: "hold-key"`. */
export const CLAIM_EXCLUSIVE_HOLDING: Script = claimExclusive(true);
