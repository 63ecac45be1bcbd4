/**
 * Lua function that removes marks of subjects whose entries were trimmed. It needs `POSITIONS`.
 *
 * It looks at a random sample, so that its cost does not grow with the hash. There are sixteen marks in the sample for each
 * that a trim makes superfluous, so few superfluous ones stay. READ_SUBJECT ignores them.
 */
export const SWEEP: string = `
local function sweep(marks, removed, cut)
  if removed == 0 then return end
  local gone = {}
  local sample = redis.call('HRANDFIELD', marks, math.min(500, 10 + math.ceil(removed / 8)), 'WITHVALUES')
  for at = 2, #sample, 2 do
    if less(string.match(sample[at], '%S+$'), cut) then gone[#gone + 1] = sample[at - 1] end
  end
  if #gone > 0 then redis.call('HDEL', marks, unpack(gone)) end
end
`;
