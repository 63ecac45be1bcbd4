import type { DeadLetterBox, DeadReason, DiscardOptions, LetterRecord } from "../../store/mod.ts";
import type { Changes } from "../connection/_changes.ts";
import type { Database } from "../connection/_database.ts";
import { findGroup, type GroupRow, nextNumber } from "../consuming/_group.ts";
import { BEFORE_ALL } from "../consuming/_holds.ts";
import { type Place, positionOf } from "../entries/_records.ts";
import { findStream, numberAt, type StreamRow } from "../entries/_stream.ts";

const PAGE_SIZE = 100;

interface LetterRow extends Place {
  readonly id: number;
  readonly fields: string;
  readonly reason: string;
  readonly attempts: number;
  readonly first_failed_at: number;
  readonly last_failed_at: number;
  readonly consumer: string;
  readonly error: string;
  /** The key of its event as JSON, if the consumer gave it. */
  readonly key: string | null;
}

interface Box {
  readonly stream: StreamRow;
  readonly group: GroupRow;
}

/** The dead letters of one group in an SQLite file. */
export class SqliteLetterBox implements DeadLetterBox {
  #db: Database;
  #changes: Changes;
  #now: () => number;
  #stream: string;
  #group: string;

  constructor(db: Database, changes: Changes, now: () => number, stream: string, group: string) {
    this.#db = db;
    this.#changes = changes;
    this.#now = now;
    this.#stream = stream;
    this.#group = group;
  }

  #find(): Box | undefined {
    const stream = findStream(this.#db, this.#stream);
    const group = stream && findGroup(this.#db, stream, this.#group);
    return group && { stream: stream!, group };
  }

  // A walk through the letters ends at this id: letters that come later would make it endless.
  #lastId({ group }: Box): number {
    return this.#db.get<{ id: number | null }>("SELECT max(id) AS id FROM letter WHERE grp = ?", group.id)!.id ?? 0;
  }

  #page({ group }: Box, after: number, last: number): LetterRow[] {
    return this.#db.all<LetterRow>(
      "SELECT * FROM letter WHERE grp = ? AND id > ? AND id <= ? ORDER BY id LIMIT ?",
      group.id,
      after,
      last,
      PAGE_SIZE,
    );
  }

  #letter({ group }: Box, id: number): LetterRow | undefined {
    return this.#db.get<LetterRow>("SELECT * FROM letter WHERE grp = ? AND id = ?", group.id, id);
  }

  async *list({ signal }: { readonly signal?: AbortSignal } = {}): AsyncGenerator<readonly LetterRecord[]> {
    let last: number | undefined;
    for (let after = 0;;) {
      signal?.throwIfAborted();
      const page = await this.#db.read(() => {
        const box = this.#find();
        return box === undefined ? [] : this.#page(box, after, last ??= this.#lastId(box));
      });
      signal?.throwIfAborted();
      if (page.length === 0) return;
      yield page.map(toLetter);
      after = page.at(-1)!.id;
    }
  }

  async redrive(ids?: readonly string[]): Promise<number> {
    const redriven = ids === undefined ? await this.#redriveAll() : await this.#redriveNamed(numbersOf(ids));
    if (redriven > 0) this.#changes.wake(this.#stream);
    return redriven;
  }

  async #redriveAll(): Promise<number> {
    let last: number | undefined;
    for (let redriven = 0;;) {
      const letters = await this.#db.write(() => {
        const box = this.#find();
        if (box === undefined) return [];
        const page = this.#page(box, 0, last ??= this.#lastId(box));
        for (const letter of page) this.#redrive(box, letter);
        return page;
      });
      if (letters.length === 0) return redriven;
      redriven += letters.length;
    }
  }

  #redriveNamed(ids: readonly number[]): Promise<number> {
    return this.#db.write(() => {
      const box = this.#find();
      if (box === undefined) return 0;
      const letters = ids.map((id) => this.#letter(box, id)).filter((letter) => letter !== undefined);
      for (const letter of letters) this.#redrive(box, letter);
      return letters.length;
    });
  }

  #redrive({ stream, group }: Box, { id, ms, seq, fields }: LetterRow): void {
    const db = this.#db;
    db.run("DELETE FROM letter WHERE grp = ? AND id = ?", group.id, id);
    const n = numberAt(db, stream, { ms, seq });
    const stillThere = numberAt(db, stream, { ms, seq: seq + 1 }) !== n;
    if (stillThere && n >= nextNumber(db, stream, group)) return;
    // On conflict the group has an unsettled delivery of this entry already, which stays.
    db.run(
      "INSERT INTO delivery (grp, ms, seq, n, copy, due) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
      group.id,
      ms,
      seq,
      n,
      stillThere ? null : fields,
      group.when_dead === null ? this.#now() : BEFORE_ALL,
    );
  }

  async discard(which: DiscardOptions = {}): Promise<number> {
    const discarded = await this.#discard(which);
    // Deliveries that waited behind a letter may have returned.
    if (discarded > 0) this.#changes.wake(this.#stream);
    return discarded;
  }

  #discard({ ids, maxAge = Infinity, maxLength = Infinity }: DiscardOptions): Promise<number> {
    const db = this.#db;
    const bounded = maxAge !== Infinity || maxLength !== Infinity;
    const oldest = bounded ? this.#now() - maxAge : Infinity;
    return db.write(() => {
      const box = this.#find();
      if (box === undefined) return 0;
      const { id: group } = box.group;
      if (ids === undefined) {
        return db.run(
          "DELETE FROM letter WHERE grp = ? AND (last_failed_at < ? OR id <= ?)",
          group,
          oldest,
          maxLength === Infinity ? 0 : this.#beyond(box, maxLength),
        );
      }
      const letters = numbersOf(ids).toSorted((a, b) => a - b).map((id) => this.#letter(box, id)).filter((letter) =>
        letter !== undefined
      );
      const doomed = letters.filter(({ last_failed_at }, index) =>
        index < letters.length - maxLength || last_failed_at < oldest
      );
      for (const { id } of doomed) db.run("DELETE FROM letter WHERE grp = ? AND id = ?", group, id);
      return doomed.length;
    });
  }

  /** Returns the id of the newest letter beyond the `count` newest ones; 0 if there are no more than `count`. */
  #beyond(box: Box, count: number): number {
    const found = this.#db.get<{ id: number }>(
      "SELECT id FROM letter WHERE grp = ? ORDER BY id DESC LIMIT 1 OFFSET ?",
      box.group.id,
      count,
    );
    return found?.id ?? 0;
  }
}

// Drops ids that this store cannot have given out: no letter has them.
function numbersOf(ids: readonly string[]): number[] {
  return [...new Set(ids)].filter((id) => /^[1-9][0-9]{0,15}$/.test(id)).map(Number);
}

function toLetter(row: LetterRow): LetterRecord {
  return {
    id: `${row.id}`,
    position: positionOf(row),
    fields: JSON.parse(row.fields),
    reason: row.reason as DeadReason,
    attempts: row.attempts,
    firstFailedAt: row.first_failed_at,
    lastFailedAt: row.last_failed_at,
    consumer: row.consumer,
    error: JSON.parse(row.error),
    ...(row.key !== null && { key: JSON.parse(row.key) as string }),
  };
}
