import type { TimedConnection } from "../../src/redis/connection/_connection.ts";
import type { Reply } from "../../src/redis/connection/client.ts";
import { ReplyError } from "../../src/redis/connection/_reply_error.ts";

// As the server would: it never goes back behind the last entry.
const LAST_TIME = `local function lastTime()
  if redis.call('EXISTS', stream) == 0 then return 0 end
  return tonumber(string.match(redis.call('XINFO', 'STREAM', stream)[8], '^%d+'))
end`;

/**
 * A connection to a server whose clock is the test's: what asks for the time, or has the server give a position, is
 * rewritten on its way. Members plan their looks by a clock of their own, so that moving this one rings all bells.
 */
export function withClock(connection: TimedConnection, now: () => number): TimedConnection {
  const time = () => [String(Math.floor(now() / 1_000)), String(now() % 1_000 * 1_000)];
  const rewrite = (source: string) => {
    const [seconds, micros] = time();
    return source
      .replaceAll("redis.call('TIME')", `{'${seconds}', '${micros}'}`)
      .replaceAll("redis.call('HGET', meta, 'bell') or ''", `(redis.call('HGET', meta, 'bell') or '') .. '@${now()}'`)
      .replaceAll("local id = '*'", `${LAST_TIME} local id = string.format('%.0f-*', math.max(${now()}, lastTime()))`);
  };
  return {
    async send(command: readonly string[], timeout?: number): Promise<Reply> {
      const [name, first, ...rest] = command;
      if (name === "TIME") return time();
      if (name === "HMGET" && rest[0] === "bell") {
        const [bell, ...others] = await connection.send(command, timeout) as readonly Reply[];
        return [`${bell ?? ""}@${now()}`, ...others];
      }
      // The digest is of the script as it is written: nobody knows it, so that the source comes next.
      if (name!.startsWith("EVALSHA")) throw new ReplyError("NOSCRIPT its clock is the test's");
      if (name!.startsWith("EVAL")) return await connection.send([name!, rewrite(first!), ...rest], timeout);
      return await connection.send(command, timeout);
    },
    open: async (options) => withClock(await connection.open(options), now),
    close: () => connection.close(),
  };
}
