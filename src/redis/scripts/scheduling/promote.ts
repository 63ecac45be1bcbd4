import { Script } from "../../connection/_script.ts";
import { MARK_EVERY } from "../entries/append_revised.ts";
import { fenced, schedule } from "../parts/_schedule.ts";

/**
 * Appends entries that are due to the stream, and removes them from the schedule.
 *
 * KEYS: stream, the sorted set and the hash of the schedule, the hashes of the subjects and of their marks, and the layout of the
 * stream if the schedule has one. ARGV: the layout or nothing, the largest number of entries, and after how many bytes to end.
 *
 * Reply: how many entries were appended, their size, how many wait, when the first is due, and the time. An empty list for none
 * that was due. Errors: `LAYOUTCHANGED`, and errors of XADD.
 */
export const PROMOTE: Script = new Script(`
${schedule(2)}
${fenced(6)}
local stream, subjects, marks = KEYS[1], KEYS[4], KEYS[5]

-- A time in ms in ISO 8601. From days since the epoch to a date by the proleptic Gregorian calendar.
local function iso(ms)
  local days, rest = math.floor(ms / 86400000), ms % 86400000
  local z = days + 719468
  local era = math.floor(z / 146097)
  local doe = z - era * 146097
  local yoe = math.floor((doe - math.floor(doe / 1460) + math.floor(doe / 36524) - math.floor(doe / 146096)) / 365)
  local doy = doe - (365 * yoe + math.floor(yoe / 4) - math.floor(yoe / 100))
  local mp = math.floor((5 * doy + 2) / 153)
  local day = doy - math.floor((153 * mp + 2) / 5) + 1
  local month = mp < 10 and mp + 3 or mp - 9
  local year = yoe + era * 400 + (month <= 2 and 1 or 0)
  return string.format('%04d-%02d-%02dT%02d:%02d:%02d.%03dZ', year, month, day, math.floor(rest / 3600000),
    math.floor(rest / 60000) % 60, math.floor(rest / 1000) % 60, rest % 1000)
end

-- Appends an entry with the next revision of its subject, as APPEND_REVISED does.
local function revised(call, subject, base)
  local revision, position, count = 0, '', 0
  local head = redis.call('HGET', subjects, subject)
  if head then
    local number, place, entries = string.match(head, '^(%d+) (%S+) ?(%d*)$')
    revision, position = tonumber(number), place
    count = entries == '' and revision or tonumber(entries)
  end
  revision, count = math.max(revision, base) + 1, count + 1
  for _, part in ipairs({'revision', text(revision), 'previous', position}) do call[#call + 1] = part end
  local given = redis.call(unpack(call))
  local place = text(revision) .. ' ' .. given
  redis.call('HSET', subjects, subject, count == revision and place or place .. ' ' .. text(count))
  if count % ${MARK_EVERY} == 0 then redis.call('HSET', marks, subject .. ' ' .. text(count / ${MARK_EVERY}), place) end
end

local limit, most = tonumber(ARGV[2]), tonumber(ARGV[3])
local due = redis.call('ZRANGEBYSCORE', waiting, '-inf', clock(), 'WITHSCORES', 'LIMIT', 0, limit)
local appended, bytes = 0, 0
local id = '*'
for nth = 1, #due, 2 do
  if bytes > most then break end
  local member = due[nth]
  local e, size = entry(member)
  -- An entry whose value was deleted by hand cannot be appended.
  if e then
    local fields, own, base = e[1], e[2], e[3]
    local call = {'XADD', stream, id, unpack(fields)}
    call[#call + 1] = 'scheduledfor'
    call[#call + 1] = iso(tonumber(due[nth + 1]))
    if own then
      revised(call, type(own) == 'number' and fields[2 * own] or own, base)
    else
      redis.call(unpack(call))
    end
    redis.call('HDEL', records, string.sub(member, 11))
    appended, bytes = appended + 1, bytes + size
  end
  redis.call('ZREM', waiting, member)
end
local reply = state()
table.insert(reply, 1, appended)
table.insert(reply, 2, bytes)
return reply
`);
