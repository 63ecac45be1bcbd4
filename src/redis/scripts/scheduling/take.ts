import { Script } from "../../connection/_script.ts";
import { schedule } from "../parts/_schedule.ts";

/**
 * Hands out a batch of waiting entries, the same until it is taken. KEYS: the sorted set and the hash of the schedule. ARGV: the
 * largest number of entries, and after how many bytes to end.
 *
 * Reply: the number of the batch, and its entries as LIST gives them.
 */
export const TAKE: Script = new Script(`
${schedule(1)}
local added, batch, size = counters()
local count, most = tonumber(ARGV[1]), tonumber(ARGV[2])
if size > 0 then count, most = size, math.huge end
local found = shown(redis.call('ZRANGE', waiting, 0, count - 1, 'WITHSCORES'), most)
if #found ~= size then redis.call('HSET', records, '', text(added) .. ' ' .. batch .. ' ' .. #found) end
return {batch, found}
`);

/**
 * Removes the entries of a batch that was handed out; once. KEYS: the sorted set and the hash of the schedule. ARGV: the number of
 * the batch.
 */
export const TAKEN: Script = new Script(`
${schedule(1)}
local added, batch, size = counters()
if tonumber(ARGV[1]) ~= batch or size == 0 then return 0 end
for _, member in ipairs(redis.call('ZRANGE', waiting, 0, size - 1)) do
  redis.call('ZREM', waiting, member)
  redis.call('HDEL', records, string.sub(member, 11))
end
redis.call('HSET', records, '', text(added) .. ' ' .. (batch + 1) .. ' 0')
return 1
`);
