import { defineEvent, EventBroker } from "@tidings/broker";
import { openRedisStore } from "../../../src/redis/open.ts";
import type { RedisOptions } from "../../../src/redis_options.ts";
import { told } from "../../../src/testing/_broker_bench.ts";
import { openConnection } from "../_bench.ts";
import { eventually } from "../_cluster.ts";
import { RedisServer } from "../_server.ts";

/** An event with a number. */
export class Counted extends defineEvent("Counted")<{ n: number }> {}

/** `count` new events. */
export const counted = (count: number) => Array.from({ length: count }, (_, n) => new Counted({ n }));

/** Opens a broker whose reconnect events are ignored. */
export async function openBroker(server: RedisServer, redis: RedisOptions, publishTimeout = 1_500) {
  const store = await openRedisStore(server.url, { client: "node-redis", redis });
  const broker = new EventBroker(store, { events: [Counted], publishTimeout });
  told(broker, "reconnect");
  return broker;
}

/** A master and its replica. */
export class Pair implements AsyncDisposable {
  readonly master: RedisServer;
  readonly replica: RedisServer;

  private constructor(master: RedisServer, replica: RedisServer) {
    this.master = master;
    this.replica = replica;
  }

  static async start(): Promise<Pair> {
    const [master, replica] = await Promise.all([RedisServer.start(), RedisServer.start()]);
    await replica.cli("REPLICAOF", "127.0.0.1", String(master.port));
    const pair = new Pair(master, replica);
    await pair.#attached();
    return pair;
  }

  async #attached(): Promise<void> {
    const connection = await openConnection(this.master.url);
    // A replica may be online a second before it first acknowledges writes by itself; WAIT asks it to do so now.
    await eventually(async () => {
      await connection.send(["SET", "written", "now"]);
      return await connection.send(["WAIT", "1", "100"]) === 1;
    });
    connection.close();
  }

  /** Freezes the replica, and has the master drop it, as it does by itself after `repl-timeout`. */
  async freeze(): Promise<void> {
    this.replica.pause();
    await this.master.cli("CLIENT", "KILL", "TYPE", "replica");
  }

  async thaw(): Promise<void> {
    this.replica.resume();
    await this.#attached();
  }

  /** Kills the master and promotes the replica, which is returned. */
  async failover(): Promise<RedisServer> {
    await this.master.kill();
    this.replica.resume();
    await this.replica.cli("REPLICAOF", "NO", "ONE");
    return this.replica;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.replica.resume();
    await Promise.all([this.master, this.replica].map((server) => server[Symbol.asyncDispose]()));
  }
}

/** The ids of the events on a server. */
export async function idsOn(server: RedisServer): Promise<string[]> {
  await using broker = await openBroker(server, {});
  return (await Array.fromAsync(broker.history(Counted))).map(({ id }) => id);
}
