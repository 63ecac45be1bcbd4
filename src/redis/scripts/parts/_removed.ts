/**
 * Lua function that finds out how the server counts the reads of a group, by a small stream under the key `counting`: as
 * `reads` if a group counts what it has read, as `ranks` if it counts entries that were removed before it read on, too.
 */
const TRIAL = `
local function trial()
  redis.call('DEL', counting)
  redis.call('XGROUP', 'CREATE', counting, 'group', '0', 'MKSTREAM')
  redis.call('XADD', counting, '1-0', 'n', '1')
  redis.call('XREADGROUP', 'GROUP', 'group', 'me', 'STREAMS', counting, '>')
  redis.call('XADD', counting, '2-0', 'n', '2')
  redis.call('XADD', counting, 'MAXLEN', '1', '3-0', 'n', '3')
  redis.call('XREADGROUP', 'GROUP', 'group', 'me', 'STREAMS', counting, '>')
  local read = redis.call('XINFO', 'GROUPS', counting)[1][10]
  redis.call('DEL', counting)
  return read == 3 and 'ranks' or 'reads'
end
`;

/**
 * Lua functions that find entries which were removed from the stream before a group read them. They need `POSITIONS`, and
 * the locals `stream`, `now` (in ms) and `text`.
 *
 * The server does not report removals, so a script compares the counters of the stream and the group with those of the
 * last comparison: the group's mark, field `mark` of its meta hash. Of the entries that were unread then or were added
 * since, all must be read or present. What is missing goes to the field `removed`, until CLAIM reports it. Nothing is
 * reported on a guess:
 *
 * - The number of reads is the growth of the server's `entries-read`. Redis 7 does not replicate it with each read, so it
 *   counts only while the same server is the primary.
 * - Some servers (Redis 7) count what a group reads. Others (Redis 8, Valkey 9) keep the rank of the last read entry, and
 *   so count a gap as read once the group has passed it. There a gap is found only before that.
 * - XDEL of an entry that the group has passed says nothing: the entry may have been read before.
 */
const COMPARISON = `
-- More unread entries than this are not counted, since XRANGE copies the payloads.
local mostCounted = 32

-- The counters of the stream and of a group; nil without the group.
local function countersOf(groupName)
  for _, row in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
    if row[2] == groupName then
      local reply, info = redis.call('XINFO', 'STREAM', stream), {}
      for at = 1, #reply, 2 do info[reply[at]] = reply[at + 1] end
      return {
        length = info['length'], added = info['entries-added'], first = info['recorded-first-entry-id'],
        last = info['last-generated-id'], deleted = info['max-deleted-entry-id'],
        read = row[8], counter = tonumber(row[10])
      }
    end
  end
end

-- The number of unread entries (nil if unknown) and the first of them (nil if none or unknown).
local function unreadOf(s)
  if s.length == 0 or not less(s.read, s.last) then return 0, nil end
  if less(s.read, s.first) then return s.length, s.first end
  local rows = redis.call('XRANGE', stream, '(' .. s.read, '+', 'COUNT', mostCounted + 1)
  return #rows <= mostCounted and #rows or nil, rows[1] and rows[1][1]
end

-- The mark: time, last read position, unread entries, first unread entry, entries added and removed so far, highest
-- position that XDEL removed, the server's entries-read, its replication id, how it counts reads. A dash is an unknown value.
local function parseMark(line)
  if not line then return nil end
  local part = {}
  for word in string.gmatch(line, '%S+') do part[#part + 1] = word ~= '-' and word end
  return {
    read = part[2], unread = tonumber(part[3]), first = part[4], added = tonumber(part[5]), gone = tonumber(part[6]),
    deleted = part[7], counter = tonumber(part[8]), primary = part[9], counts = part[10]
  }
end

local function writeMark(metaKey, m)
  redis.call('HSET', metaKey, 'mark', table.concat({
    text(now), m.read, m.unread and text(m.unread) or '-', m.first or '-', text(m.added), text(m.gone),
    m.deleted, m.counter and text(m.counter) or '-', m.primary, m.counts or '-'
  }, ' '))
end

-- Adds a gap to those that CLAIM has not reported yet.
local function addRemoved(metaKey, from, to, count)
  local line = redis.call('HGET', metaKey, 'removed')
  if line then
    local earlierFrom, earlierTo, earlierCount = string.match(line, '^(%S+) (%S+) (%S+)$')
    if less(earlierFrom, from) then from = earlierFrom end
    if less(to, earlierTo) then to = earlierTo end
    count = count and tonumber(earlierCount) and count + tonumber(earlierCount)
  end
  redis.call('HSET', metaKey, 'removed', from .. ' ' .. to .. ' ' .. (count and text(count) or '-'))
end

-- Adds a gap somewhere between the mark and the present counters.
local function addGap(metaKey, was, s, count)
  local from, to = was.first or after(was.read), nil
  if s.length == 0 then to = s.last elseif less(was.read, s.first) then to = before(s.first) end
  if less(was.read, s.deleted) and not (to and less(s.deleted, to)) then to = s.deleted end
  if not to or less(to, from) then to = s.last end
  addRemoved(metaKey, from, to, count)
end

-- Sets from where reads are counted if no entry is left that was read. There may be a gap before the first entry, which some
-- servers count with the next read.
local function countFromFirst(m)
  if m.counter == m.gone then return end
  m.counts = m.counts or trial and trial()
  if m.counts == 'ranks' then m.counter = m.gone elseif not m.counts then m.counter = nil end
end

-- Compares the counters s with the mark, adds a gap if entries are missing, and writes a new mark.
local function compare(metaKey, was, s)
  local is = {
    read = s.read, counter = s.counter, added = s.added, gone = s.added - s.length, deleted = s.deleted,
    primary = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
  }
  if was and was.primary == is.primary then is.counts = was.counts end
  -- The stream is another one, or another program has moved the group back.
  if was and (is.added < was.added or less(is.read, was.read)) then was = nil end

  -- The number of unread entries if none was removed; nil if unknown.
  local expected = nil
  if was then
    local reads = nil
    if is.read == was.read then
      reads = 0
    elseif is.primary == was.primary and s.counter and was.counter then
      reads = s.counter - was.counter
    end
    expected = was.unread and reads and was.unread + is.added - was.added - reads
    if expected and expected < 0 then expected = nil end
  end

  if less(s.last, is.read) then
    -- The group begins at a later position. Entries before that are not unread.
    is.unread = nil
  elseif was and is.gone > was.gone then
    is.unread, is.first = unreadOf(s)
    local lost = expected and is.unread and expected - is.unread
    local deletedAhead = is.deleted ~= was.deleted and less(is.read, is.deleted)
    local firstGone = was.first and less(is.read, was.first) and #redis.call('XRANGE', stream, was.first, was.first) == 0
    if deletedAhead and is.gone - was.gone == 1 then
      addRemoved(metaKey, is.deleted, is.deleted, 1)
    elseif lost and lost > 0 then
      addGap(metaKey, was, s, lost)
    elseif deletedAhead or firstGone then
      addGap(metaKey, was, s, nil)
    elseif expected and not is.unread then
      if less(was.first or was.read, s.first) or less(is.read, s.deleted) then
        -- Too many to count. The mark stays until the number of unread entries is known.
        is = was
      else
        -- Only entries that the group has passed were removed.
        is.unread = expected
      end
    end
  elseif expected and not less(is.read, s.first) and less(is.read, s.last) then
    is.unread = expected
    is.first = is.read == was.read and was.first or nil
  else
    is.unread, is.first = unreadOf(s)
  end
  -- Without a count so far, the server begins with the rank of the first entry that the group reads.
  if not is.counter and is.unread then is.counter = is.added - is.unread end
  if is ~= was and (s.length == 0 or less(is.read, s.first)) then countFromFirst(is) end
  writeMark(metaKey, is)
end

-- Compares with the mark, unless the mark is younger than some milliseconds.
local function noteRemoved(groupName, metaKey, pause)
  local line = redis.call('HGET', metaKey, 'mark')
  local at = line and pause > 0 and tonumber(string.match(line, '^%d+'))
  if at and at <= now and now - at < pause then return end
  local s = countersOf(groupName)
  if s then compare(metaKey, parseMark(line), s) end
end
`;

/** For scripts that may try how the server counts: those of a consumer. */
export const REMOVED: string = `${TRIAL}${COMPARISON}`;

/** For scripts that may not, because their users may neither add entries nor read as a group. */
export const REMOVED_UNTRIED: string = `local trial = nil${COMPARISON}`;
