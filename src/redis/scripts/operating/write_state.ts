import { Script } from "../../connection/_script.ts";

/**
 * Writes a shared text if its version is still the same.
 *
 * KEYS: its hash. ARGV: the version, then the text, or nothing to remove it. Reply: 1 if it was written. The next version is
 * at least the time, so that none is used twice even where the key was lost in between.
 */
export const WRITE_STATE: Script = new Script(`
local version = tonumber(redis.call('HMGET', KEYS[1], 'version')[1] or 0)
if version ~= tonumber(ARGV[1]) then return 0 end
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
redis.call('HSET', KEYS[1], 'version', string.format('%.0f', math.max(version + 1, now)))
if #ARGV > 1 then
  redis.call('HSET', KEYS[1], 'text', ARGV[2])
else
  redis.call('HDEL', KEYS[1], 'text')
end
return 1
`);
