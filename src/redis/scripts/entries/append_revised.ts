import { Script } from "../../connection/_script.ts";
import { batch } from "../parts/_batch.ts";

/** Every so many entries of a subject, one has a mark: reading begins at a mark and walks back from there. */
export const MARK_EVERY = 128;

/**
 * Appends a producer's batch once, as APPEND does, and numbers the entries of each subject.
 *
 * An entry has its own fields, then `revision`, and `previous`: the position of the entry of its subject before it, empty
 * for the first one.
 *
 * KEYS: stream, the producer's hash, the hashes of the subjects and of their marks, and the layout of the stream if the
 * batch names one. ARGV: as for APPEND up to the layout, then the expected subject and its revision (or empty), the number
 * of subjects with a base, each of these with its base, and runs of records as for APPEND. After its size, a run says which
 * of its fields is the subject; 0 if none is, and then the subject comes before the values of each record.
 *
 * Reply: the first position, whose successors are consecutive, and the revision of each record; an empty list for a batch
 * that was given up; `conflict` and the revision found. Errors: as APPEND.
 */
export const APPEND_REVISED: Script = new Script(`
local function answer(first, revisions)
  local reply = {first}
  for revision in string.gmatch(revisions, '%d+') do reply[#reply + 1] = revision end
  return reply
end
${batch(5)}
local subjects, marks = KEYS[3], KEYS[4]

-- A number as text. Lua would write a large one with an exponent.
local function text(number) return string.format('%.0f', number) end

-- The subjects of the batch, each once; the expected one is the first.
local names, numberOf = {}, {}
local function note(name)
  if numberOf[name] then return end
  names[#names + 1] = name
  numberOf[name] = #names
end
local expected = ARGV[at + 1]
if expected ~= '' then note(ARGV[at]) end
local bases = {}
for nth = 1, tonumber(ARGV[at + 2]) do bases[ARGV[at + 1 + 2 * nth]] = tonumber(ARGV[at + 2 + 2 * nth]) end
at = at + 3 + 2 * tonumber(ARGV[at + 2])
local start = at
while at <= #ARGV do
  local records, size, own = tonumber(ARGV[at]), tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  at = at + 3 + size
  for _ = 1, records do
    note(ARGV[at + math.max(0, own - 1)])
    at = at + size + (own == 0 and 1 or 0)
  end
end

-- By the number of the subject: its last revision, the position of that entry, and how many entries it has had.
local revisions, positions, counts = {}, {}, {}
for nth, head in ipairs(redis.call('HMGET', subjects, unpack(names))) do
  if head then
    local revision, position, count = string.match(head, '^(%d+) (%S+) ?(%d*)$')
    revisions[nth], positions[nth] = tonumber(revision), position
    counts[nth] = count == '' and revisions[nth] or tonumber(count)
  else
    revisions[nth], positions[nth], counts[nth] = 0, '', 0
  end
  local base = bases[names[nth]]
  if base and base > revisions[nth] then revisions[nth] = base end
end
if expected ~= '' and revisions[1] ~= tonumber(expected) then
  local found = text(revisions[1])
  remember('conflict', found)
  return {'conflict', found}
end

local reply, marked, changed = {}, {}, {}
local id = '*'
at = start
while at <= #ARGV do
  local records, size, own = tonumber(ARGV[at]), tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  -- One command for the whole run: only its values change.
  local call = {'XADD', stream, id}
  for nth = 1, size do
    call[2 + 2 * nth] = ARGV[at + 2 + nth]
    call[3 + 2 * nth] = ''
  end
  local last = 3 + 2 * size
  call[last + 1], call[last + 2], call[last + 3], call[last + 4] = 'revision', '', 'previous', ''
  at = at + 3 + size
  for _ = 1, records do
    local name = ARGV[at + math.max(0, own - 1)]
    local number = numberOf[name]
    if own == 0 then at = at + 1 end
    for nth = 1, size do call[3 + 2 * nth] = ARGV[at + nth - 1] end
    at = at + size
    local revision = text(revisions[number] + 1)
    call[last + 2], call[last + 4] = revision, positions[number]
    local given = redis.call(unpack(call))
    if not reply[1] then
      reply[1] = given
      -- All entries get the millisecond of the first, so their positions are consecutive and the first one tells them all.
      id = string.match(given, '^%d+') .. '-*'
      call[3] = id
    end
    reply[#reply + 1] = revision
    revisions[number], positions[number], changed[number] = revisions[number] + 1, given, revision
    counts[number] = counts[number] + 1
    if counts[number] % ${MARK_EVERY} == 0 then
      marked[#marked + 1] = name .. ' ' .. text(counts[number] / ${MARK_EVERY})
      marked[#marked + 1] = revision .. ' ' .. given
    end
  end
end
local heads = {}
for number, revision in pairs(changed) do
  heads[#heads + 1] = names[number]
  -- The count is the revision, unless the numbering went on from a base.
  heads[#heads + 1] = counts[number] == revisions[number] and revision .. ' ' .. positions[number] or
    revision .. ' ' .. positions[number] .. ' ' .. text(counts[number])
end
redis.call('HSET', subjects, unpack(heads))
if #marked > 0 then redis.call('HSET', marks, unpack(marked)) end
-- Revisions need memory, and decided batches are not sent again. So many can be decided by one more batch.
if decided > 0 and sequence - decided < ring / 2 then
  local old = {}
  for nth = math.max(1, decided - 7), decided do old[#old + 1] = tostring(nth % ring) end
  redis.call('HDEL', memory, unpack(old))
end
remember(reply[1], table.concat(reply, ' ', 2))
return reply
`);
