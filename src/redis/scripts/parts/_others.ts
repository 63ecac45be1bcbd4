/** Lua function that ends all other consumers, for scripts of an exclusive consumer. It stands behind the prelude. */
export const OTHERS: string = `
local function takeOver(id, c)
  local w = workOf(id)
  w.recovered = w.recovered + 1
  if w.isolated == 1 then countFailure(w) end
  saveWork(id, w)
  park(id, math.max(now, w.retryAt), w.retryAt > now and '_retry' or '_released', c)
end

-- Parks all deliveries of other consumers, and removes these consumers. A late read of a dead consumer may have created it
-- again, and have taken new entries.
local function endOthers()
  for _, info in ipairs(redis.call('XINFO', 'CONSUMERS', stream, group)) do
    local name = info[2]
    if name ~= me and string.sub(name, 1, 1) ~= '_' then
      while true do
        local rows = redis.call('XPENDING', stream, group, '-', '+', 1000, name)
        for _, row in ipairs(rows) do takeOver(row[1]) end
        if #rows == 0 then break end
      end
      redis.call('XGROUP', 'DELCONSUMER', stream, group, name)
    end
  end
  if redis.call('HLEN', copies) > 0 then
    for _, id in ipairs(redis.call('HKEYS', copies)) do
      local c = copyOf(id)
      if c.owner ~= '' and c.owner ~= me and c.owner ~= '_waiting' and not heldVersion(c.owner) then takeOver(id, c) end
    end
  end
  for _, name in ipairs(redis.call('ZRANGE', consumers, 0, -1)) do
    if name ~= me then removeConsumer(name) end
  end
end
`;
