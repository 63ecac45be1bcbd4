import { DatabaseSync } from "node:sqlite";
import { LABELS } from "../../tests/redis/_bench.ts";
import type { Place } from "../_case.ts";
import { type Detail, Measured } from "../_detail.ts";
import { fill } from "./raw.ts";
import type { System } from "./_system.ts";
import { brokerSystem, type Open, openRedis, openSqlite } from "./tidings.ts";

const SIZE = 500;

/** A table of the program's own, in a file of its own. */
function openTable({ folder, run }: Place) {
  const database = new DatabaseSync(`${folder}/${run}-table.db`);
  database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL");
  database.exec("CREATE TABLE IF NOT EXISTS bids (n INTEGER PRIMARY KEY, payload TEXT)");
  const insert = database.prepare("INSERT OR REPLACE INTO bids (n, payload) VALUES (?, ?)");
  const write = (detail: Detail) => void insert.run(detail.n, JSON.stringify(detail));
  return {
    write,
    writeAll(details: readonly Detail[]): void {
      database.exec("BEGIN IMMEDIATE");
      for (const detail of details) write(detail);
      database.exec("COMMIT");
    },
    close: () => database.close(),
  };
}

/** A broker whose handler writes each event to a table of the program, alone or with the other events of its batch. */
function writingSystem(label: string, open: Open, batch: boolean): System {
  return {
    ...brokerSystem(label, open),
    name: `tidings, ${label}, ${batch ? `batches of ${SIZE}` : "single handlers"}`,
    ...(label !== "SQLite" && { fill }),
    note: "node:sqlite, WAL, synchronous NORMAL; one transaction for each call of the handler",
    consumer: async (place, { handler }) => {
      const broker = await open(place, [Measured]);
      const table = openTable(place);
      if (batch) {
        await broker.subscribe(Measured, ({ events }) => {
          const details = events.map(({ detail }) => detail as Detail);
          table.writeAll(details);
          for (const detail of details) void handler(detail);
        }, { group: "group", batch: { size: SIZE } });
      } else {
        await broker.subscribe(Measured, ({ detail }) => {
          table.write(detail as Detail);
          return handler(detail as Detail);
        }, { group: "group" });
      }
      return { close: () => broker.close().finally(table.close) };
    },
  };
}

/** Brokers whose handlers write to SQLite: one event at a time, and in batches. */
export const writingSystems: readonly { readonly single: System; readonly batches: System }[] = ([
  [LABELS["node-redis"], openRedis("node-redis")],
  ["SQLite", openSqlite],
] as const).map(([label, open]) => ({
  single: writingSystem(label, open, false),
  batches: writingSystem(label, open, true),
}));
