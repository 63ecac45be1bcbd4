import { Script } from "../../connection/_script.ts";

/** Reads a shared text. KEYS: its hash. Reply: its version, the time in ms, and the text if there is one. */
export const READ_STATE: Script = new Script(
  `
local version, text = unpack(redis.call('HMGET', KEYS[1], 'version', 'text'))
local clock = redis.call('TIME')
local reply = {tonumber(version or 0), tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)}
if text then reply[3] = text end
return reply
`,
  { readOnly: true },
);
