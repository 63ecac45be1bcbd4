import { Script } from "../../connection/_script.ts";
import { batch } from "../parts/_batch.ts";

/**
 * Appends a producer's batch once, however often it is sent.
 *
 * KEYS: stream, the producer's hash, and the layout of the stream if the batch names one. ARGV: number of the batch, number
 * up to which all batches are decided, 1 if the producer has appended before (else 0), how long the hash lasts in ms, how
 * many batches it remembers, the layout by which the stream was chosen if there is a key for it, then runs of records with
 * the same field names. A run is: number of records, number of fields, the names, and the values record by record. A batch
 * without records is given up.
 *
 * Reply: the first position and the number of records, whose positions are consecutive; an empty list for a batch that was
 * given up. Errors: `FORGOTTEN` if the hash is gone, `OUTOFSEQUENCE` if another batch is next, `LAYOUTCHANGED` if a later
 * layout is in force (the batch is decided then), and errors of XADD, before anything is written.
 */
export const APPEND: Script = new Script(`
local function answer(first, count) return {first, tonumber(count)} end
${batch(3)}
local count, first = 0, nil
local id = '*'
while at <= #ARGV do
  local records, size = tonumber(ARGV[at]), tonumber(ARGV[at + 1])
  -- One command for the whole run: only its values change.
  local call = {'XADD', stream, id}
  for nth = 1, size do call[2 + 2 * nth] = ARGV[at + 1 + nth] end
  at = at + 1 + size
  for _ = 1, records do
    for nth = 1, size do call[3 + 2 * nth] = ARGV[at + nth] end
    at = at + size
    local given = redis.call(unpack(call))
    if not first then
      first = given
      -- All entries get the millisecond of the first, so their positions are consecutive and the first one tells them all.
      id = string.match(given, '^%d+') .. '-*'
      call[3] = id
    end
  end
  count = count + records
  at = at + 1
end
remember(first, count)
return {first, count}
`);
