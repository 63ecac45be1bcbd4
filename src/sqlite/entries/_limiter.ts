import { reserve } from "../../store/_gcra.ts";
import type { Limiter, RateLimit, Taken, TakeOptions } from "../../store/mod.ts";
import type { Database } from "../connection/_database.ts";

// After so many calls, keys whose limits are unused are removed.
const SWEEP = 1_000;

/** A limiter in an SQLite file. */
export class SqliteLimiter implements Limiter {
  #db: Database;
  #now: () => number;
  #stream: string;
  #name: string;
  #calls = 0;

  constructor(db: Database, now: () => number, stream: string, name: string) {
    this.#db = db;
    this.#now = now;
    this.#stream = stream;
    this.#name = name;
  }

  take(rate: RateLimit, options: TakeOptions): Promise<Taken> {
    const { key = "" } = options;
    const place = [this.#stream, this.#name, key] as const;
    return this.#db.write(() => {
      const now = this.#now();
      const found = this.#db.get<{ tat: number }>(
        "SELECT tat FROM rate WHERE stream = ? AND name = ? AND key = ?",
        ...place,
      );
      const { tat, ...taken } = reserve(found?.tat ?? 0, now, rate, options);
      this.#db.run(
        "INSERT INTO rate (stream, name, key, tat) VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET tat = excluded.tat",
        ...place,
        tat,
      );
      if (++this.#calls % SWEEP === 0) this.#db.run("DELETE FROM rate WHERE tat < ?", now);
      return taken;
    });
  }
}
