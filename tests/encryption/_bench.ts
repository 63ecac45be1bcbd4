import { connect, type ConnectOptions, defineEvent, type EventBroker } from "@tidings/broker";
import type { Shredded } from "@tidings/broker/encryption";
import { join } from "node:path";
import { RedisServer } from "../redis/_server.ts";

export class BidderRegistered extends defineEvent("BidderRegistered", {
  sensitive: ["email", "cards.token"],
  encrypt: true,
})<{ email: string | Shredded; cards: { token: string | Shredded; last: string }[]; country: string }> {}

/** A registration whose sensitive fields hold `secret`. */
export function registration(subject: string, secret: string): BidderRegistered {
  const cards = [{ token: `${secret}-0`, last: "11" }, { token: `${secret}-1`, last: "22" }];
  return new BidderRegistered({ email: secret, cards, country: "SE" }, { subject });
}

export type Options = Omit<ConnectOptions<typeof BidderRegistered>, "events">;

/** A temporary folder, removed when it is disposed. */
export class TempDir implements AsyncDisposable {
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  static async make(): Promise<TempDir> {
    return new TempDir(await Deno.makeTempDir({ prefix: "tidings-" }));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Deno.remove(this.path, { recursive: true });
  }
}

/** One store's data. */
export interface Place extends AsyncDisposable {
  readonly url: string;
  /** The folder of its files; undefined without files. */
  readonly folder: string | undefined;
  /** The server, for an administrator's commands. */
  readonly server?: RedisServer;
  /** A place that was opened from a copy of its files. */
  backup(): Promise<Place>;
}

/** Opens a broker of `BidderRegistered` over a place. */
export function openBroker(place: Place, options: Options): Promise<EventBroker<typeof BidderRegistered>> {
  return connect(place.url, { ...options, events: [BidderRegistered] });
}

async function sqlitePlace(copied?: string): Promise<Place> {
  const folder = await TempDir.make();
  if (copied !== undefined) {
    for await (const { name } of Deno.readDir(copied)) await Deno.copyFile(join(copied, name), join(folder.path, name));
  }
  return {
    url: `sqlite:${folder.path}/events.db`,
    folder: folder.path,
    backup: () => sqlitePlace(folder.path),
    [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
  };
}

async function redisPlace(dump?: Uint8Array): Promise<Place> {
  const folder = await TempDir.make();
  if (dump !== undefined) await Deno.writeFile(join(folder.path, "dump.rdb"), dump);
  // A backup is a snapshot; a server with an append-only file would not read it.
  const files = ["--dir", folder.path, "--appendonly", dump === undefined ? "yes" : "no", "--rdbcompression", "no"];
  const server = await RedisServer.start(files);
  return {
    url: server.url.href,
    folder: folder.path,
    server,
    backup: async () => {
      await server.cli("SAVE");
      return await redisPlace(await Deno.readFile(join(folder.path, "dump.rdb")));
    },
    [Symbol.asyncDispose]: async () => {
      await server[Symbol.asyncDispose]();
      await folder[Symbol.asyncDispose]();
    },
  };
}

/** The stores that keep data in files, by name. */
export const DURABLE: Readonly<Record<string, () => Promise<Place>>> = {
  SqliteStore: () => sqlitePlace(),
  RedisStore: () => redisPlace(),
};

/** All stores, by name. */
export const PLACES: Readonly<Record<string, () => Promise<Place>>> = {
  InMemoryStore: () =>
    Promise.resolve({
      url: `memory:${crypto.randomUUID()}`,
      folder: undefined,
      backup: () => Promise.reject(new Error("Memory has no backup")),
      [Symbol.asyncDispose]: () => Promise.resolve(),
    }),
  ...DURABLE,
};
