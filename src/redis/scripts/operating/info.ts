import { Script } from "../../connection/_script.ts";
import { READ_PRELUDE } from "../parts/_prelude.ts";

/**
 * The state of one group at one moment.
 *
 * KEYS and ARGV: see the prelude (without consumer and life), then how many unread entries to count at most if the server
 * does not know the lag. Reply, empty if there is no such group:
 *
 * - pending deliveries, and how many of them wait for their next attempt,
 * - dead letters,
 * - the lag, and 1 if it is exact,
 * - the first position that is not read or not settled (or empty),
 * - for each consumer: name, pending deliveries, 1 if alive, 1 if stalled,
 * - for each version with deferred deliveries: version, pending deliveries,
 * - when the event of the oldest dead letter last failed, in ms (or empty),
 * - the event types of the group with spaces between (or empty), and how many entries of other types it has skipped,
 * - `hold-key` (or empty), how many keys are held, how many deliveries wait for them, and the lowest position of the letters
 *   that hold keys (empty if there are none, or too many to compare),
 * - how many expired events it has settled,
 * - the text of its control, if it has one.
 */
export const GROUP_INFO: Script = new Script(
  `${READ_PRELUDE}
local info = nil
for _, candidate in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
  if candidate[2] == group then info = candidate end
end
if not info then return {} end
local last = info[8]
local lag, exact = info[12], 1
local oldest = redis.call('XRANGE', stream, '-', '+', 'COUNT', 1)[1]
local most = tonumber(ARGV[4])
if not oldest or less(last, oldest[1]) then
  lag = redis.call('XLEN', stream)
else
  -- The server's lag is missing after a rewind, includes entries that were removed before they were read, and is stale
  -- after a failover and back, because Redis 7 does not replicate it. So the unread entries are counted, up to a limit.
  local count = #redis.call('XRANGE', stream, '(' .. last, '+', 'COUNT', most + 1)
  if count <= most then
    lag = count
  elseif type(lag) ~= 'number' or lag <= most then
    lag = most
    exact = 0
  end
end
local first = redis.call('XPENDING', stream, group, '-', '+', 1)[1]
local unread = redis.call('XRANGE', stream, '(' .. last, '+', 'COUNT', 1)[1]
local floor = first and first[1] or ''
if unread and (floor == '' or less(unread[1], floor)) then floor = unread[1] end
local retrying, held, names = 0, {}, {}
for _, consumer in ipairs(redis.call('XINFO', 'CONSUMERS', stream, group)) do
  held[consumer[2]] = consumer[4]
  if string.sub(consumer[2], 1, 1) ~= '_' then names[consumer[2]] = true end
end
for _, consumer in ipairs(redis.call('ZRANGE', consumers, 0, -1)) do names[consumer] = true end
-- Owners and positions of copies are read only if that does not block the server for long.
local copyCount = redis.call('HLEN', copies)
if copyCount <= 10000 then
  for _, id in ipairs(redis.call('HKEYS', copies)) do
    local c = copyOf(id)
    if names[c.owner] or heldVersion(c.owner) then held[c.owner] = (held[c.owner] or 0) + 1 end
    if floor == '' or less(id, floor) then floor = id end
  end
end
-- Retries that their consumer holds are not in the sorted set. They are counted if that does not block the server for long.
if redis.call('HLEN', workKey) <= 10000 then
  for _, id in ipairs(redis.call('HKEYS', workKey)) do
    if workOf(id).retryAt > now then retrying = retrying + 1 end
  end
else
  retrying = redis.call('ZCOUNT', due, '(' .. text(now), '+inf')
end
local list = {}
for name in pairs(names) do
  local expires = redis.call('ZSCORE', consumers, name)
  list[#list + 1] = {
    name, held[name] or 0, expires and tonumber(expires) > now and 1 or 0,
    redis.call('HGET', meta, 'stalled:' .. name) == '1' and 1 or 0
  }
end
local deferred = {}
for name, count in pairs(held) do
  if heldVersion(name) and count > 0 then deferred[#deferred + 1] = {string.sub(name, 7), count} end
end
local heldKeys, heldFrom = redis.call('HLEN', KEYS[9]), ''
if heldKeys > 0 and heldKeys <= 10000 then
  local keys = redis.call('HKEYS', KEYS[9])
  for at = 1, #keys, 1000 do
    for _, id in ipairs(redis.call('HMGET', KEYS[9], unpack(keys, at, math.min(at + 999, #keys)))) do
      if heldFrom == '' or less(id, heldFrom) then heldFrom = id end
    end
  end
end
local letter = redis.call('XRANGE', dead, '-', '+', 'COUNT', 1)[1]
local failedAt = ''
-- The letter's own fields come before those of its event.
for at = 1, letter and #letter[2] or 0, 2 do
  if letter[2][at] == 'lastfailedat' then
    failedAt = letter[2][at + 1]
    break
  end
end
local reply = {
  info[6] + copyCount, retrying, redis.call('XLEN', dead), lag, exact, floor, list, deferred, failedAt,
  redis.call('HGET', meta, 'types') or '', tonumber(redis.call('HGET', meta, 'skipped') or 0),
  redis.call('HGET', meta, 'whendead') or '', heldKeys, redis.call('ZCOUNT', KEYS[11], '-inf', '+inf'), heldFrom,
  tonumber(redis.call('HGET', meta, 'expired') or 0)
}
reply[#reply + 1] = redis.call('HGET', meta, 'controltext') or nil
return reply
`,
  { readOnly: true },
);
