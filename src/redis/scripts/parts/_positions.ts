/** Lua functions that compare and step positions. */
export const POSITIONS: string = `
-- Positions in order. Their parts may exceed the range of Lua's numbers, so they compare by length, then as text.
local function less(a, b)
  local aMs, aSeq = string.match(a, '^(%d+)-(%d+)$')
  local bMs, bSeq = string.match(b, '^(%d+)-(%d+)$')
  if aMs ~= bMs then
    if #aMs ~= #bMs then return #aMs < #bMs end
    return aMs < bMs
  end
  if #aSeq ~= #bSeq then return #aSeq < #bSeq end
  return aSeq < bSeq
end

-- The position right after another. It adds digit by digit, because a sequence may exceed the range of numbers.
local function after(id)
  local ms, seq = string.match(id, '^(%d+)-(%d+)$')
  if seq == '18446744073709551615' then return string.format('%.0f', tonumber(ms) + 1) .. '-0' end
  local head, digit, nines = string.match(seq, '^(%d-)([0-8]?)(9*)$')
  return ms .. '-' .. head .. (digit == '' and '1' or digit + 1) .. string.rep('0', #nines)
end

-- The position right before another; 0-0 has none and stays.
local function before(id)
  local ms, seq = string.match(id, '^(%d+)-(%d+)$')
  if seq == '0' then
    if ms == '0' then return id end
    return string.format('%.0f', tonumber(ms) - 1) .. '-18446744073709551615'
  end
  local head, digit, zeros = string.match(seq, '^(%d*)([1-9])(0*)$')
  local lower = head .. (digit - 1) .. string.rep('9', #zeros)
  return ms .. '-' .. (string.match(lower, '^0+(%d+)$') or lower)
end
`;
