import { assert, assertEquals, assertInstanceOf, assertRejects } from "@std/assert";
import * as dbRedis from "@db/redis";
import { Redis as IoRedis } from "ioredis";
import { createClient } from "redis";
import { classify, connectError } from "../../src/redis/connection/_errors.ts";
import { COMMAND_TIMEOUT, openInTime, type TimedConnection } from "../../src/redis/connection/_connection.ts";
import { type ClientKind, loadAdapter } from "../../src/redis/clients/detect.ts";
import { StoreError } from "../../src/store/mod.ts";
import { addressOf, KINDS, LABELS } from "./_bench.ts";
import { freePort } from "./_free_port.ts";
import { RedisServer } from "./_server.ts";

/** True where JSR cannot be reached. */
export const standIn = "STAND_IN" in dbRedis;

/** A client as a user makes it, with the settings it has by default. */
export const made: Record<
  ClientKind,
  (url: URL) => Promise<{ client: object; ping: () => Promise<unknown>; end: () => void }>
> = {
  "@db/redis": async (url) => {
    const client = await dbRedis.connect({ hostname: url.hostname, port: Number(url.port) });
    return { client, ping: () => client.sendCommand("PING"), end: () => client.close() };
  },
  "node-redis": async (url) => {
    const client = createClient({ url: url.href });
    await client.connect();
    return { client, ping: () => client.ping(), end: () => client.destroy() };
  },
  "ioredis": async (url) => {
    const client = new IoRedis(url.href, { keyPrefix: "theirs:" });
    await client.ping();
    return { client, ping: () => client.ping(), end: () => client.disconnect() };
  },
};

/** Connects to a server; rejects with the error that a user gets. */
export async function open(
  kind: ClientKind,
  url: URL,
  timeout?: number,
  signal?: AbortSignal,
): Promise<TimedConnection> {
  const adapter = await loadAdapter(kind);
  try {
    return await openInTime((options) => adapter.open(addressOf(url), options), {
      timeout: timeout ?? COMMAND_TIMEOUT,
      signal,
    });
  } catch (error) {
    throw connectError(url, error);
  }
}

/** The error that a promise rejects with, and after how many milliseconds. */
export async function failure(promise: Promise<unknown>): Promise<{ error: Error; after: number }> {
  const began = performance.now();
  const error = await assertRejects(() => promise, Error);
  return { error, after: performance.now() - began };
}

/** Asserts that an error says that the command may have run. */
export function assertUncertain(error: unknown): void {
  const classed = classify(error);
  assertInstanceOf(classed, StoreError);
  assertEquals(classed.kind, "uncertain");
}

/** Resolves after this many milliseconds. */
export const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** A server that sends one text to each client, and ignores all requests. */
export class Speaker implements AsyncDisposable {
  /** Connections that their clients have not closed. */
  readonly open = new Set<Deno.TcpConn>();
  #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  #running: Promise<unknown>[] = [];

  constructor(text = "") {
    this.#running.push(this.#listen(new TextEncoder().encode(text)));
  }

  get url(): URL {
    return new URL(`redis://127.0.0.1:${(this.#listener.addr as Deno.NetAddr).port}`);
  }

  async #listen(text: Uint8Array): Promise<void> {
    try {
      for await (const connection of this.#listener) this.#running.push(this.#serve(connection, text));
    } catch (error) {
      assertInstanceOf(error, Deno.errors.BadResource);
    }
  }

  async #serve(connection: Deno.TcpConn, text: Uint8Array): Promise<void> {
    this.open.add(connection);
    const buffer = new Uint8Array(1024);
    await connection.write(text).catch(() => {});
    while (await connection.read(buffer).catch(() => null) !== null);
    if (this.open.delete(connection)) connection.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    for (const connection of this.open) connection.close();
    this.open.clear();
    await Promise.all(this.#running);
  }
}

export type Test = (kind: ClientKind, server: RedisServer) => Promise<void>;

/** Runs each test with each client, on one server that is emptied before. */
export function testClients(subject: string, tests: Readonly<Record<string, Test>>): void {
  for (const kind of KINDS) {
    Deno.test(`${subject}: ${LABELS[kind]}`, async (test) => {
      await using server = await RedisServer.start();
      // Loading a client may take longer than the times that the tests assert.
      await loadAdapter(kind);
      for (const [name, run] of Object.entries(tests)) {
        await test.step(name, async () => {
          await server.cli("FLUSHALL");
          await run(kind, server);
        });
      }
    });
  }
}

/** A server for TLS with a self-signed certificate, which no client trusts. */
export async function tlsServer(): Promise<AsyncDisposable & { tlsPort: number }> {
  const folder = Deno.makeTempDirSync({ prefix: "tidings-tls-" });
  const [key, cert] = [`${folder}/key.pem`, `${folder}/cert.pem`];
  const NEW_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"];
  const subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"];
  const made = await new Deno.Command("openssl", {
    args: ["req", "-x509", ...NEW_KEY, "-nodes", "-days", "1", "-keyout", key, "-out", cert, ...subject],
    stderr: "null",
  }).output();
  assert(made.success, "openssl makes a certificate");
  const tlsPort = freePort();
  const files = ["--tls-cert-file", cert, "--tls-key-file", key, "--tls-ca-cert-file", cert];
  const server = await RedisServer.start(["--tls-port", String(tlsPort), ...files, "--tls-auth-clients", "no"]);
  return {
    tlsPort,
    [Symbol.asyncDispose]: async () => {
      await server[Symbol.asyncDispose]();
      await Deno.remove(folder, { recursive: true });
    },
  };
}
