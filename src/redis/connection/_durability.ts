import type { DurabilityOptions } from "../../redis_options.ts";
import { StoreError } from "../../store/mod.ts";
import { COMMAND_TIMEOUT } from "./_connection.ts";
import { isReplicaReply, isUnknownCommand } from "./_reply_error.ts";
import type { RedisConnection, Reply } from "./client.ts";
import type { Script } from "../scripts/_script.ts";
import type { OwnRoute, Pinned } from "./_topology.ts";

/**
 * Sees to it that a server can be asked for this.
 *
 * @throws {TypeError} If it cannot.
 */
export async function checkDurability(
  connection: Pick<RedisConnection, "send">,
  { fsync }: DurabilityOptions,
  keepsFile: boolean,
): Promise<void> {
  if (!fsync) return void await connection.send(["WAIT", "0", "1"]).catch(unlessReplica);
  if (!keepsFile) {
    throw new TypeError(
      "Cannot wait for the disk of a server that keeps no append-only file: set appendonly to yes there",
    );
  }
  try {
    await connection.send(["WAITAOF", "0", "0", "1"]).catch(unlessReplica);
  } catch (error) {
    if (!isUnknownCommand(error)) throw error;
    throw new TypeError(
      "Cannot wait for the disk of this server: it has no WAITAOF, which needs Redis 7.2 or Valkey 7.2; upgrade it, or " +
        "set its appendfsync to always and leave redis.durability.fsync out",
    );
  }
}

// Of a cluster a replica may have been asked: it knows the command, and those that are written to run it.
function unlessReplica(error: unknown): void {
  if (!isReplicaReply(error)) throw error;
}

/** Runs what writes, and waits until that is as durable as it is to be: which blocks a connection, and so has its own. */
export class DurableWay {
  #route: OwnRoute;
  #options: DurabilityOptions;
  #place: Promise<Place> | undefined;

  constructor(route: OwnRoute, options: DurabilityOptions) {
    this.#route = route;
    this.#options = options;
  }

  /**
   * Runs a script; an empty reply says that it has written nothing that must last.
   *
   * @throws {StoreError} `"uncertain"` if it does not last in time: it is stored, and a failover or a crash may take it away.
   */
  async run(script: Script, keys: readonly string[], args: readonly string[]): Promise<Reply> {
    const opening = this.#place ??= this.#route.pin().then((connection) => new Place(connection, this.#options));
    try {
      const place = await opening;
      const reply = await script.run(place.connection, keys, args);
      if (!Array.isArray(reply) || reply.length > 0) await place.lasts();
      return reply;
    } catch (error) {
      // The next one may have to go elsewhere.
      if (this.#place === opening) this.#place = undefined;
      throw error;
    }
  }

  async close(): Promise<void> {
    await this.#route.close();
  }
}

/** Where it was written: another server, or this one by another connection, knows nothing of that. */
class Place {
  readonly connection: Pinned;
  #options: DurabilityOptions;
  #waiting: Promise<void> = Promise.resolve();
  #next: Promise<void> | undefined;

  constructor(connection: Pinned, options: DurabilityOptions) {
    this.connection = connection;
    this.#options = options;
  }

  /** Resolves when all lasts that has been answered by now. */
  lasts(): Promise<void> {
    // What was sent before does not speak of this; what is sent next does, for all who wait then.
    return this.#next ??= this.#waiting.then(() => {
      const sent = assertDurable(this.connection, this.#options);
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
  // Whatever fails now, the event is stored.
  const reply = await connection.send(command, timeout + COMMAND_TIMEOUT).catch((error: Error) => {
    throw new StoreError("uncertain", `Cannot tell whether it will last: ${error.message}`, { cause: error });
  });
  const [written, copied] = fsync ? reply as readonly [number, number] : [0, reply as number];
  if (copied >= replicas && (!fsync || written >= 1)) return;
  const disk = fsync && written < 1 ? "the server has not written it to its disk" : undefined;
  const copies = copied < replicas ? `${copied} of ${replicas} replicas have it` : undefined;
  const what = [disk, copies].filter((part) => part !== undefined).join(", and ");
  throw new StoreError(
    "uncertain",
    `Cannot tell whether it will last: ${what} after ${timeout} ms; mend that, or ask for less`,
  );
}
