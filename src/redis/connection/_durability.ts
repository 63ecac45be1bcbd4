import type { DurabilityOptions } from "../../redis_options.ts";
import { StoreError } from "../../store/mod.ts";
import { COMMAND_TIMEOUT } from "./_connection.ts";
import { isReplicaReply, isUnknownCommand } from "./_reply_error.ts";
import type { RedisConnection, Reply } from "./client.ts";
import type { Script } from "./_script.ts";
import type { OwnRoute, Pinned } from "./_topology.ts";

/** Runs a script, and waits until its changes are as durable as configured. */
export type Write = (script: Script, keys: readonly string[], args: readonly string[]) => Promise<Reply>;

/**
 * Checks that a server supports the durability options.
 *
 * @throws {TypeError} If it does not.
 */
export async function checkDurability(
  connection: Pick<RedisConnection, "send">,
  { fsync }: DurabilityOptions,
  keepsFile: boolean,
): Promise<void> {
  if (!fsync) return void await connection.send(["WAIT", "0", "1"]).catch(unlessReplica);
  if (!keepsFile) {
    throw new TypeError(
      "Cannot wait for the disk of this server: it keeps no append-only file; set its appendonly to yes",
    );
  }
  try {
    await connection.send(["WAITAOF", "0", "0", "1"]).catch(unlessReplica);
  } catch (error) {
    if (!isUnknownCommand(error)) throw error;
    throw new TypeError(
      "Cannot wait for the disk of this server: it has no command WAITAOF, which needs Redis 7.2 or Valkey 7.2; upgrade " +
        "it, or set its appendfsync to always and leave redis.durability.fsync out",
    );
  }
}

// The node may be a replica in a cluster: it has the command and refuses to run it. The primaries run it.
function unlessReplica(error: unknown): void {
  if (!isReplicaReply(error)) throw error;
}

/** Runs scripts that write, and waits until their changes are durable. WAIT blocks, so it has a connection of its own. */
export class DurableRoute {
  #route: OwnRoute;
  #options: DurabilityOptions;
  #connection: Promise<DurableConnection> | undefined;

  constructor(route: OwnRoute, options: DurabilityOptions) {
    this.#route = route;
    this.#options = options;
  }

  /**
   * Runs a script and waits until its changes are durable. An empty list as reply means that it changed nothing.
   *
   * @throws {StoreError} `"uncertain"` if they are not durable in time: they are stored, but a failover or crash may lose
   * them.
   */
  async run(script: Script, keys: readonly string[], args: readonly string[]): Promise<Reply> {
    const opening = this.#connection ??= this.#route.pin().then((pinned) =>
      new DurableConnection(pinned, this.#options)
    );
    try {
      const connection = await opening;
      const reply = await script.run(connection.pinned, keys, args);
      if (!Array.isArray(reply) || reply.length > 0) await connection.wait();
      return reply;
    } catch (error) {
      // Open a new connection for the next script, which may have to go to another server.
      if (this.#connection === opening) this.#connection = undefined;
      throw error;
    }
  }

  async close(): Promise<void> {
    await this.#route.close();
  }
}

/** The connection that wrote the entries. WAIT covers only the writes of its own connection. */
class DurableConnection {
  readonly pinned: Pinned;
  #options: DurabilityOptions;
  #waiting: Promise<void> = Promise.resolve();
  #next: Promise<void> | undefined;

  constructor(pinned: Pinned, options: DurabilityOptions) {
    this.pinned = pinned;
    this.#options = options;
  }

  /** Resolves when the entries of all scripts that have replied so far are durable. */
  wait(): Promise<void> {
    // A WAIT in flight may not cover these entries. The next WAIT does, and all callers until then share it.
    return this.#next ??= this.#waiting.then(() => {
      const sent = assertDurable(this.pinned, this.#options);
      this.#waiting = sent.catch(() => {});
      this.#next = undefined;
      return sent;
    });
  }
}

async function assertDurable(
  connection: Pinned,
  { replicas = 0, fsync = false, timeout = 1_000 }: DurabilityOptions,
): Promise<void> {
  const command = fsync ? ["WAITAOF", "1", `${replicas}`, `${timeout}`] : ["WAIT", `${replicas}`, `${timeout}`];
  // The event is stored already. A failure leaves open only whether it is durable.
  const reply = await connection.send(command, timeout + COMMAND_TIMEOUT).catch((error: Error) => {
    throw new StoreError("uncertain", `Cannot tell whether the event is durable: ${error.message}`, { cause: error });
  });
  const [written, copied] = fsync ? reply as readonly [number, number] : [0, reply as number];
  if (copied >= replicas && (!fsync || written >= 1)) return;
  const disk = fsync && written < 1 ? "the server has not written it to its disk" : undefined;
  const copies = copied < replicas ? `${copied} of ${replicas} replicas have it` : undefined;
  const state = [disk, copies].filter((part) => part !== undefined).join(", and ");
  throw new StoreError(
    "uncertain",
    `Cannot tell whether the event is durable: ${state} after ${timeout} ms; repair the replicas or the disk, or lower redis.durability`,
  );
}
