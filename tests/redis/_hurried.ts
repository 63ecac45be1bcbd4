import { type BrokerOptions, EventBroker, type EventClass, type RedisOptions } from "@tidings/broker";
import { type ClientKind, loadAdapter } from "../../src/redis/clients/detect.ts";
import { COMMAND_TIMEOUT, openInTime, type TimedConnection } from "../../src/redis/connection/_connection.ts";
import { withoutCredentials } from "../../src/redis/connection/_errors.ts";
import { SingleServer } from "../../src/redis/connection/_single_server.ts";
import { RedisStore } from "../../src/redis/redis_store.ts";
import { addressOf } from "./_bench.ts";

/** A connection whose deadlines and blocking times are divided by `times`. */
function hurried(connection: TimedConnection, times: number): TimedConnection {
  return {
    send(command, timeout = COMMAND_TIMEOUT) {
      const block = /^XREAD/.test(command[0]!) ? command.indexOf("BLOCK") + 1 : 0;
      const shorter = block === 0 ? command : command.with(block, String(Number(command[block]) / times));
      return connection.send(shorter, timeout / times);
    },
    open: async (options) => hurried(await connection.open(options), times),
    close: () => connection.close(),
  };
}

/**
 * Opens a broker with shorter deadlines on a server that may not reply, so that its test takes less time.
 *
 * @param times Divides the 5 s that commands and connection attempts may take, the 4 s that a read blocks, and its deadline.
 */
export async function openHurriedBroker<C extends EventClass>(
  url: URL,
  options: BrokerOptions<C>,
  { kind = "node-redis", times, redis = {} }: {
    readonly kind?: ClientKind;
    readonly times: number;
    readonly redis?: RedisOptions;
  },
): Promise<EventBroker<C>> {
  const adapter = await loadAdapter(kind);
  const connection = await openInTime((options) => adapter.open(addressOf(url), options), {
    timeout: COMMAND_TIMEOUT / times,
  });
  const server = new SingleServer(hurried(connection, times), withoutCredentials(url));
  return new EventBroker(new RedisStore(server, redis), options);
}
