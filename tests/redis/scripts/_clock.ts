import type { TimedConnection } from "../../../src/redis/connection/_connection.ts";
import type { Reply } from "../../../src/redis/connection/client.ts";
import { ReplyError } from "../../../src/redis/connection/_reply_error.ts";

// Like the server: never before the last entry.
const LAST_TIME = `local function lastTime()
  if redis.call('EXISTS', stream) == 0 then return 0 end
  return tonumber(string.match(redis.call('XINFO', 'STREAM', stream)[8], '^%d+'))
end`;

// The server measures by its own clock for how long a delivery is idle. So a deferred delivery gets the time of the test's
// clock, and the idle time to look for is longer by the difference between the clocks. (The name of the command is in lower
// case, so that it is not rewritten.)
const IDLE = `(function()
  local real = redis.call('time')
  return string.format('%.0f', math.max(0, tonumber(ARGV[8]) + real[1] * 1000 + math.floor(real[2] / 1000) - now))
end)()`;

/**
 * A connection to a server with the clock of a test: commands and scripts that use the time are rewritten. Members plan
 * their claim scripts by their own clock, so that each change of this clock changes the wake-up counter of all groups.
 *
 * @param set Tells what the test has set the clock to. It differs from `now` if the clock also goes on by itself: a counter that
 * changed with each millisecond would have members look again without end.
 */
export function withClock(
  connection: TimedConnection,
  now: () => number,
  set: () => number = now,
): TimedConnection {
  const time = () => [String(Math.floor(now() / 1_000)), String(now() % 1_000 * 1_000)];
  const rewrite = (source: string) => {
    const [seconds, micros] = time();
    return source
      .replaceAll("redis.call('TIME')", `{'${seconds}', '${micros}'}`)
      .replaceAll("redis.call('HGET', meta, 'bell') or ''", `(redis.call('HGET', meta, 'bell') or '') .. '@${set()}'`)
      .replaceAll("missing, reply, state[4] or ''", `missing, reply, (state[4] or '') .. '@${set()}'`)
      .replaceAll("(is[5] or '') == ARGV[8]", `(is[5] or '') .. '@${set()}' == ARGV[8]`)
      .replaceAll("keeper, 0, id, 'JUSTID'", "keeper, 0, id, 'TIME', text(now), 'JUSTID'")
      .replaceAll("'IDLE', ARGV[8]", `'IDLE', ${IDLE}`)
      .replaceAll("local id = '*'", `${LAST_TIME} local id = string.format('%.0f-*', math.max(${now()}, lastTime()))`);
  };
  return {
    async send(command: readonly string[], timeout?: number): Promise<Reply> {
      const [name, first, ...rest] = command;
      if (name === "TIME") return time();
      if (name === "HMGET" && rest[0] === "bell") {
        const [bell, ...others] = await connection.send(command, timeout) as readonly Reply[];
        return [`${bell ?? ""}@${set()}`, ...others];
      }
      // The server does not have the rewritten script, so that the caller sends its source next.
      if (name!.startsWith("EVALSHA")) throw new ReplyError("NOSCRIPT the script is rewritten");
      if (name!.startsWith("EVAL")) return await connection.send([name!, rewrite(first!), ...rest], timeout);
      return await connection.send(command, timeout);
    },
    open: async (options) => withClock(await connection.open(options), now, set),
    close: () => connection.close(),
  };
}
