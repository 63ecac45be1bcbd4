import { Script } from "../../connection/_script.ts";

/**
 * Reserves starts by the generic cell rate algorithm, in microseconds.
 *
 * KEYS: a string, when the next start is due if no burst is allowed. ARGV: the interval between starts, how much earlier
 * starts of a burst may come, how many starts to reserve at most, and within which time they must be due, all in microseconds.
 * Reply: in how many microseconds the next start is due, then the same of each reserved one.
 */
export const RESERVE: Script = new Script(`
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000000 + tonumber(clock[2])
local interval, tolerance, count, ahead = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
-- It may be later than that if the limit was lower before, or after a failover to a server whose clock is behind.
local tat = math.min(tonumber(redis.call('GET', KEYS[1]) or 0), now + 1000000 + tolerance + interval)
local reply = {0}
while #reply <= count do
  local start = math.max(now, tat - tolerance)
  if start - now > ahead then break end
  reply[#reply + 1] = math.floor(start - now)
  tat = math.max(tat, start) + interval
end
redis.call('SET', KEYS[1], string.format('%.2f', tat), 'PX', math.ceil(math.max(0, tat - now) / 1000) + 1000)
reply[1] = math.floor(math.max(0, tat - tolerance - now))
return reply
`);
