import { assertTextSize, nextVersion } from "../../store/_shared_state.ts";
import type { SharedState, SharedText } from "../../store/mod.ts";
import type { Database } from "../connection/_database.ts";

interface StateRow {
  readonly version: number;
  readonly text: string | null;
}

/** A shared text in an SQLite file. */
export class SqliteState implements SharedState {
  #db: Database;
  #now: () => number;
  #stream: string;
  #name: string;

  constructor(db: Database, now: () => number, stream: string, name: string) {
    this.#db = db;
    this.#now = now;
    this.#stream = stream;
    this.#name = name;
  }

  async read(): Promise<SharedText> {
    const row = await this.#db.read(() => this.#row());
    return { text: row?.text ?? undefined, version: row?.version ?? 0, now: this.#now() };
  }

  async write(text: string | undefined, version: number): Promise<boolean> {
    assertTextSize(this.#stream, this.#name, text);
    return await this.#db.write(() => {
      if (version !== (this.#row()?.version ?? 0)) return false;
      this.#db.run(
        `INSERT INTO state (stream, name, version, text) VALUES (?, ?, ?, ?)
          ON CONFLICT DO UPDATE SET version = excluded.version, text = excluded.text`,
        this.#stream,
        this.#name,
        nextVersion(version, this.#now()),
        text ?? null,
      );
      return true;
    });
  }

  #row(): StateRow | undefined {
    return this.#db.get<StateRow>(
      "SELECT version, text FROM state WHERE stream = ? AND name = ?",
      this.#stream,
      this.#name,
    );
  }
}
