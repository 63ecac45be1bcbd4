import { Script } from "../../connection/_script.ts";
import { MARK_EVERY } from "./append_revised.ts";
import { POSITIONS } from "../parts/_positions.ts";

/**
 * Reads entries of a subject. Each entry knows the position of the one before it, so the script walks back: from the last
 * entry of the subject, or from a mark.
 *
 * KEYS: stream, the hashes of the subjects and of their marks. ARGV: the subject, the lowest revision, the highest revision
 * (or empty), the most entries, the most bytes (one entry may exceed them), 1 to read from the highest to the lowest, and
 * the position to continue at (or empty).
 *
 * Reply: where to continue, and the entries. It continues at a revision when it reads upwards, and at a position when it
 * reads downwards; empty when there is no more. The entries may be none although there are more.
 */
export const READ_SUBJECT: Script = new Script(
  `${POSITIONS}
local stream, subjects, marks = KEYS[1], KEYS[2], KEYS[3]
local name, low, reverse = ARGV[1], tonumber(ARGV[2]), ARGV[6] == '1'
local most, bytes = tonumber(ARGV[4]), tonumber(ARGV[5])

-- A number as text. Lua would write a large one with an exponent.
local function text(number) return string.format('%.0f', number) end

local revision, position, count = string.match(redis.call('HGET', subjects, name) or '', '^(%d+) (%S+) ?(%d*)$')
if not revision then return {'', {}} end
count = tonumber(count ~= '' and count or revision)
revision = tonumber(revision)
local high = math.min(revision, ARGV[3] == '' and revision or tonumber(ARGV[3]))
local oldest = redis.call('XRANGE', stream, '-', '+', 'COUNT', 1)[1]
if low > high or not oldest then return {'', {}} end

-- The number of the first mark for which a condition holds, one more than the last number if for none. Marks of trimmed
-- entries may be missing, always the lower ones: the condition does not hold for them.
local function firstMark(holds)
  local first, last = 1, math.floor(count / ${MARK_EVERY}) + 1
  while first < last do
    local middle = math.floor((first + last) / 2)
    local r, p = string.match(redis.call('HGET', marks, name .. ' ' .. text(middle)) or '', '^(%d+) (%S+)$')
    if r and not less(p, oldest[1]) and holds(tonumber(r), p) then
      last, revision, position = middle, tonumber(r), p
    else
      first = middle + 1
    end
  end
  return first
end

-- Goes to the first mark from this revision on, or stays at the last entry.
local function begin(from)
  firstMark(function(r) return r >= from end)
end

-- Goes to the last mark before a position whose entry was deleted. Returns false without one.
local function skip(gone)
  if less(gone, oldest[1]) then return false end
  local nth = firstMark(function(_, p) return not less(p, gone) end) - 1
  local r, p = string.match(redis.call('HGET', marks, name .. ' ' .. text(nth)) or '', '^(%d+) (%S+)$')
  if not r or less(p, oldest[1]) then return false end
  revision, position = tonumber(r), p
  return true
end
if ARGV[7] ~= '' then position = ARGV[7] else begin(reverse and high or low) end

-- The entry at a position with its revision, its size, and the position before it; nil if it was removed.
local function entryAt(id)
  local entry = redis.call('XRANGE', stream, id, id)[1]
  if not entry then return nil end
  local fields, size = entry[2], 0
  for nth = 1, #fields do size = size + #fields[nth] end
  return entry, tonumber(fields[#fields - 2]), size, fields[#fields]
end

local found, size = {}, 0
if reverse then
  -- Two marks are at most this far apart.
  for _ = 1, ${2 * MARK_EVERY} do
    if position == '' or #found == most then break end
    local entry, r, length, before = entryAt(position)
    if not entry then
      if not skip(position) then return {'', found} end
    elseif r < low then
      return {'', found}
    else
      if r <= high then
        if #found > 0 and size + length > bytes then break end
        found[#found + 1] = entry
        size = size + length
      end
      position = before
    end
  end
  return {position, found}
end

-- Upwards: the way down is found first. It keeps positions only, since the entries may be large.
local way, top = {}, revision
while position ~= '' do
  local entry, r, _, before = entryAt(position)
  if not entry or r < low then break end
  if r <= high then way[#way + 1] = {position = position, revision = r} end
  position = before
end
for nth = #way, 1, -1 do
  local entry, _, length = entryAt(way[nth].position)
  if #found == most or #found > 0 and size + length > bytes then return {text(way[nth].revision), found} end
  found[#found + 1] = entry
  size = size + length
end
return {top < high and text(top + 1) or '', found}
`,
  { readOnly: true },
);
