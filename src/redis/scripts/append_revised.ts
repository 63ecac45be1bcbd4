import { Script } from "../connection/_script.ts";
import { batch } from "./parts/_batch.ts";

/** Every so many entries of a subject, one has a mark: reading begins at a mark and walks back from there. */
export const MARK_EVERY = 128;

/**
 * Appends a producer's batch once, as APPEND does, and numbers the entries of each subject.
 *
 * An entry has its own fields, then `revision`, and `previous`: the position of the entry of its subject before it, empty
 * for the first one.
 *
 * KEYS: stream, the producer's hash, the hashes of the subjects and of their marks, and the layout of the stream if the
 * batch names one. ARGV: as for APPEND up to the layout, then the revision that the first subject must have (or empty), the
 * number of subjects, each subject with its base, and runs of records as for APPEND, with the number of its subject, from 1,
 * before the values of each record.
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

local expected = ARGV[at]
local all, names = {}, {}
for nth = 1, tonumber(ARGV[at + 1]) do
  names[nth] = ARGV[at + 2 * nth]
  all[nth] = {name = names[nth], base = tonumber(ARGV[at + 1 + 2 * nth])}
end
at = at + 2 + 2 * #all
for nth, head in ipairs(redis.call('HMGET', subjects, unpack(names))) do
  local subject = all[nth]
  local revision, position, count = string.match(head or '0', '^(%d+) ?(%S*) ?(%d*)$')
  subject.revision = math.max(tonumber(revision), subject.base)
  subject.position = position
  subject.count = tonumber(count ~= '' and count or revision)
end
if expected ~= '' and all[1].revision ~= tonumber(expected) then
  local found = text(all[1].revision)
  remember('conflict', found)
  return {'conflict', found}
end

local reply, marked = {}, {}
local id = '*'
while at <= #ARGV do
  local records, size = tonumber(ARGV[at]), tonumber(ARGV[at + 1])
  -- One command for the whole run: only its values change.
  local call = {'XADD', stream, id}
  for nth = 1, size do call[2 + 2 * nth] = ARGV[at + 1 + nth] end
  local own = 3 + 2 * size
  call[own + 1], call[own + 3] = 'revision', 'previous'
  at = at + 2 + size
  for _ = 1, records do
    local subject = all[tonumber(ARGV[at])]
    for nth = 1, size do call[3 + 2 * nth] = ARGV[at + nth] end
    at = at + size + 1
    subject.revision = subject.revision + 1
    subject.count = subject.count + 1
    local revision = text(subject.revision)
    call[own + 2], call[own + 4] = revision, subject.position
    local given = redis.call(unpack(call))
    if not reply[1] then
      reply[1] = given
      -- All entries get the millisecond of the first, so their positions are consecutive and the first one tells them all.
      id = string.match(given, '^%d+') .. '-*'
      call[3] = id
    end
    reply[#reply + 1] = revision
    subject.position = given
    subject.changed = true
    if subject.count % ${MARK_EVERY} == 0 then
      marked[#marked + 1] = subject.name .. ' ' .. text(subject.count / ${MARK_EVERY})
      marked[#marked + 1] = revision .. ' ' .. given
    end
  end
end
local heads = {}
for _, subject in ipairs(all) do
  if subject.changed then
    local head = text(subject.revision) .. ' ' .. subject.position
    -- The count is the revision, unless the numbering went on from a base.
    if subject.count ~= subject.revision then head = head .. ' ' .. text(subject.count) end
    heads[#heads + 1] = subject.name
    heads[#heads + 1] = head
  end
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
