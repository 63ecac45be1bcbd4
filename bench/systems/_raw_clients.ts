import { connect } from "@db/redis";
import { Redis } from "ioredis";
import { createClient } from "redis";
import type { ClientKind } from "../../src/redis/clients/detect.ts";

/** An unchecked reply, in the shapes of RESP 2. */
// deno-lint-ignore no-explicit-any
export type RawReply = any;

/** One connection of a client, with the fastest settings of the client. */
export interface RawConnection {
  send(command: string[]): Promise<RawReply>;
  /** Sends many commands in the client's own way of pipelining. */
  sendAll(commands: readonly string[][]): Promise<unknown>;
  close(): void;
}

/** The settings of each client. */
export const RAW_SETTINGS: Readonly<Record<ClientKind, string>> = {
  "node-redis": "RESP 2, no timeout per command, commands of a tick in one write",
  "ioredis": "enableAutoPipelining",
  "@db/redis": "one command in flight; windows by its pipeline() if it has one",
};

/** Opens a connection. */
export async function openRaw(kind: ClientKind, url: string): Promise<RawConnection> {
  return await OPEN[kind](url);
}

const OPEN: Record<ClientKind, (url: string) => Promise<RawConnection>> = {
  "node-redis": async (url) => {
    const options = { url, RESP: 2, disableClientInfo: true, maintNotifications: "disabled" };
    // The default is a timeout for each command, which halves the throughput.
    const client = createClient({ ...options, commandOptions: { timeout: undefined } } as object);
    await client.connect();
    const send = (command: string[]) => client.sendCommand(command);
    return { send, sendAll: (commands) => Promise.all(commands.map(send)), close: () => client.destroy() };
  },
  "ioredis": async (url) => {
    const client = new Redis(url, { enableAutoPipelining: true, lazyConnect: true, protocol: 2 } as object);
    await client.connect();
    const send = ([name, ...args]: string[]) => client.call(name!, args);
    return { send, sendAll: (commands) => Promise.all(commands.map(send)), close: () => client.disconnect() };
  },
  "@db/redis": async (url) => {
    const { hostname, port } = new URL(url);
    const client = await connect({ hostname, port });
    const send = ([name, ...args]: string[]) => client.sendCommand(name!, args);
    const sendAll = async (commands: readonly string[][]) => {
      if (!hasPipeline(client)) return await Promise.all(commands.map(send));
      const pipeline = client.pipeline();
      for (const [name, ...args] of commands) void pipeline.sendCommand(name!, args);
      return await pipeline.flush();
    };
    return { send, sendAll, close: () => client.close() };
  },
};

interface WithPipeline {
  pipeline(): { sendCommand(name: string, args: string[]): Promise<unknown>; flush(): Promise<unknown> };
}

// The stand-in of @db/redis has no pipeline.
function hasPipeline(client: object): client is WithPipeline {
  return "pipeline" in client;
}
