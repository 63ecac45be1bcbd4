import { MAX_KEPT, MAX_KEPT_BYTES } from "../../../store/_kept.ts";
import { Script } from "../../connection/_script.ts";
import { PRELUDE } from "../parts/_prelude.ts";

/**
 * Keeps an answer beside a delivery, in its line of the hash "work", with which it goes.
 *
 * KEYS and ARGV: see the prelude, then position, epoch and delivery count of the delivery, and the name and the text of the
 * answer. Reply: 1, 0 if the consumer no longer has the delivery, 2 if there would be too many answers.
 */
export const KEEP: Script = new Script(`${PRELUDE}
local id, since, count, name, answer = unpack(ARGV, 4, 8)
local only = redis.call('HGET', meta, 'exclusive')
if only and only ~= '' and only ~= me then return 0 end
if not holds(id, tonumber(since), tonumber(count)) then return 0 end
local w = workOf(id)
local all = w.kept == '' and {} or cjson.decode(w.kept)
all[name] = answer
local names, bytes = 0, 0
for key, value in pairs(all) do
  names = names + 1
  bytes = bytes + #key + #value
end
if names > ${MAX_KEPT} or bytes > ${MAX_KEPT_BYTES} then return 2 end
w.kept = cjson.encode(all)
saveWork(id, w)
return 1
`);
