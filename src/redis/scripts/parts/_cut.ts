import { POSITIONS } from "./_positions.ts";

/**
 * The beginning of scripts that trim.
 *
 * KEYS: the stream first. ARGV: the oldest time to keep in ms (or empty), how many entries to keep (or empty), and how many
 * entries that bound may remove at most. It sets the locals `stream`, `oldest` (the first entry), `cut` (the first position
 * to keep) and `more` (1 if that bound would remove more entries). If there is nothing to remove, the script ends here.
 */
export const CUT: string = `${POSITIONS}
local stream = KEYS[1]
if redis.call('EXISTS', stream) == 0 then return {0, '', 0} end
local cut, more = nil, 0
local oldest = redis.call('XRANGE', stream, '-', '+', 'COUNT', 1)[1]
if not oldest then return {0, '', 0} end
if ARGV[1] ~= '' and less(oldest[1], ARGV[1] .. '-0') then cut = ARGV[1] .. '-0' end
if ARGV[2] ~= '' then
  local excess = redis.call('XLEN', stream) - tonumber(ARGV[2])
  if excess > 0 then
    local most = tonumber(ARGV[3])
    if excess > most then
      excess = most
      more = 1
    end
    local rows = redis.call('XRANGE', stream, '-', '+', 'COUNT', excess + 1)
    local first = rows[excess + 1] and rows[excess + 1][1] or after(rows[#rows][1])
    if not cut or less(cut, first) then cut = first end
  end
end
if not cut then return {0, '', 0} end
`;
