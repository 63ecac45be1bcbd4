import { LABELS } from "../../tests/redis/_bench.ts";
import type { ClientKind } from "../../src/redis/clients/detect.ts";
import type { Place } from "../_case.ts";
import { type Detail, STREAM } from "../_detail.ts";
import { openRaw, RAW_SETTINGS, type RawConnection } from "./_raw_clients.ts";
import type { Consumer, ConsumeSettings, System } from "./_system.ts";

const GROUP = "group";

/** XADD, and a loop of XREADGROUP COUNT 500 and XACK, as a program would write them by hand with a client alone. */
export function rawSystem(kind: ClientKind, { ahead = false } = {}): System {
  return {
    name: `${ahead ? "read-ahead loop" : "raw"}, ${LABELS[kind]}`,
    note: RAW_SETTINGS[kind],
    publisher: async ({ redis }) => {
      const connection = await openRaw(kind, redis);
      return {
        send: (detail) => connection.send(xadd(detail)),
        sendAll: (details) => connection.sendAll(details.map(xadd)),
        close: () => Promise.resolve(connection.close()),
      };
    },
    consumer: async ({ redis }, settings) => {
      const connection = await openRaw(kind, redis);
      await connection.send(["XGROUP", "CREATE", STREAM, GROUP, "0", "MKSTREAM"]);
      return loop(connection, settings, ahead);
    },
    unsettled,
    fill,
  };
}

// Makes the id and the JSON for each event, as a program has to.
function xadd(detail: Detail): string[] {
  return ["XADD", STREAM, "*", "id", crypto.randomUUID(), "payload", JSON.stringify(detail)];
}

type Entry = readonly [id: string, fields: readonly string[]];

function loop(connection: RawConnection, settings: ConsumeSettings, ahead: boolean): Consumer {
  const read = async (): Promise<readonly Entry[]> => {
    const options = ["COUNT", "500", "BLOCK", "100", "STREAMS", STREAM, ">"];
    const reply = await connection.send(["XREADGROUP", "GROUP", GROUP, "consumer", ...options]);
    return reply?.[0][1] ?? [];
  };
  let ended = false;
  const run = async () => {
    let next = ahead ? read() : undefined;
    while (!ended) {
      const entries = await (next ?? read());
      if (ahead) {
        next = read();
        // Clients write after the microtasks. Without this wait, the handlers would delay the read that should overlap them.
        await new Promise((resolve) => setImmediate(resolve));
      }
      if (entries.length === 0) continue;
      await handleAll(entries, settings);
      const ack = connection.send(["XACK", STREAM, GROUP, ...entries.map(([id]) => id)]);
      if (!ahead) await ack;
    }
    await next;
  };
  const running = run();
  return {
    close: async () => {
      ended = true;
      await running;
      connection.close();
    },
  };
}

async function handleAll(entries: readonly Entry[], { concurrency, handler }: ConsumeSettings): Promise<void> {
  let next = 0;
  const lane = async () => {
    while (next < entries.length) {
      const handling = handler(JSON.parse(entries[next++]![1][3]!));
      if (handling !== undefined) await handling;
    }
  };
  if (concurrency === 1) await lane();
  else await Promise.all(Array.from({ length: Math.min(concurrency, entries.length) }, lane));
}

/** How many entries the group has not read or not acknowledged. */
export async function unsettled({ redis }: Place): Promise<number> {
  const connection = await openRaw("node-redis", redis);
  try {
    const [group] = await connection.send(["XINFO", "GROUPS", STREAM]) as unknown[][];
    const figure = (name: string) => group![group!.indexOf(name) + 1];
    const unread = await connection.send(["XRANGE", STREAM, `(${figure("last-delivered-id")}`, "+"]) as unknown[];
    return Number(figure("pending")) + unread.length;
  } finally {
    connection.close();
  }
}

/** Stores events in the format that both the raw loop and the broker read. */
export async function fill({ redis }: Place, details: readonly Detail[]): Promise<void> {
  const connection = await openRaw("node-redis", redis);
  for (let from = 0; from < details.length; from += 500) {
    await connection.sendAll(details.slice(from, from + 500).map(xadd));
  }
  connection.close();
}
