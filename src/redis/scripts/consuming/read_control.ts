import { Script } from "../../connection/_script.ts";

/**
 * Reads the control of a group. KEYS: the meta hash of the group. Reply: its version, the time in ms, and the text if there is
 * one.
 */
export const READ_CONTROL: Script = new Script(
  `
local version, text = unpack(redis.call('HMGET', KEYS[1], 'control', 'controltext'))
local clock = redis.call('TIME')
local reply = {tonumber(version or 0), tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)}
if text then reply[3] = text end
return reply
`,
  { readOnly: true },
);
