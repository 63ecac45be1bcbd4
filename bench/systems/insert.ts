import { DatabaseSync } from "node:sqlite";
import type { System } from "./_system.ts";

/** A prepared INSERT, as a program would write it by hand with SQLite alone. */
export const insertSystem: System = {
  name: "prepared INSERT",
  note: "node:sqlite, WAL, synchronous NORMAL, the same two fields; windows are one transaction each",
  publisher: ({ folder, run }) => {
    const database = new DatabaseSync(`${folder}/${run}.db`);
    database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL");
    database.exec("CREATE TABLE events (position INTEGER PRIMARY KEY, id TEXT, payload TEXT)");
    const insert = database.prepare("INSERT INTO events (id, payload) VALUES (?, ?)");
    return Promise.resolve({
      send: (detail) => {
        insert.run(crypto.randomUUID(), JSON.stringify(detail));
        return DONE;
      },
      sendAll: (details) => {
        database.exec("BEGIN IMMEDIATE");
        for (const detail of details) insert.run(crypto.randomUUID(), JSON.stringify(detail));
        database.exec("COMMIT");
        return DONE;
      },
      close: () => Promise.resolve(database.close()),
    });
  },
};

const DONE = Promise.resolve();
