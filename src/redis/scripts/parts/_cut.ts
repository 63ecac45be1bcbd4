import { BYTES } from "./_bytes.ts";
import { POSITIONS } from "./_positions.ts";

/**
 * The beginning of scripts that trim.
 *
 * KEYS: the stream first. ARGV: the oldest time to keep in ms (or empty), how many entries and how many bytes to keep (or
 * empty), and how many entries the last two bounds may remove at most. It sets the locals `stream`, `oldest` (the first
 * entry), `cut` (the first position to keep) and `more` (1 if these bounds may remove more entries). If there is nothing to
 * remove, the script ends here.
 */
export const CUT: string = `${POSITIONS}${BYTES}
-- More bytes than this are not looked at in one call, since XRANGE copies the payloads.
local mostCopied = 1048576

local stream = KEYS[1]
if redis.call('EXISTS', stream) == 0 then return {0, '', 0} end
local oldest = redis.call('XRANGE', stream, '-', '+', 'COUNT', 1)[1]
if not oldest then return {0, '', 0} end
local cut, more = nil, 0
if ARGV[1] ~= '' and less(oldest[1], ARGV[1] .. '-0') then cut = ARGV[1] .. '-0' end

local tooMany = ARGV[2] == '' and 0 or redis.call('XLEN', stream) - tonumber(ARGV[2])
local tooLarge = ARGV[3] == '' and 0 or bytesOf(stream) - tonumber(ARGV[3])
-- The server frees whole blocks: if it has to free less, one block has to go.
if tooLarge > 0 then tooLarge = math.max(tooLarge, blockSize) end

-- Passes the entries that are too many or too large, the oldest first.
local most, count, size, largest, last = tonumber(ARGV[4]), 0, 0, 1, nil
local rows, at = {oldest}, 1
while count < tooMany or size < tooLarge do
  if count >= most or size >= mostCopied then break end
  if not rows[at] then
    -- Few at once: the next entries may be larger than those before.
    local next = math.max(1, math.min(32, most - count, math.floor((mostCopied - size) / largest)))
    rows, at = redis.call('XRANGE', stream, '(' .. last, '+', 'COUNT', next), 1
    if not rows[1] then break end
  end
  local bytes = entrySize(rows[at][2])
  largest = math.max(largest, bytes)
  size = size + bytes
  count = count + 1
  last = rows[at][1]
  at = at + 1
end
if last then
  if not cut or less(cut, after(last)) then cut = after(last) end
  -- How much the server frees is known only afterwards: the next call measures again.
  if count < tooMany or tooLarge > 0 then more = 1 end
end
if not cut then return {0, '', 0} end
`;
