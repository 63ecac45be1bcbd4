import { layoutChanged } from "../../store/_producer.ts";
import { dueAt, STEP_BYTES } from "../../store/_schedule.ts";
import { sizeOf } from "../../store/_size.ts";
import type {
  Added,
  AddOptions,
  Fields,
  Leaving,
  Promoted,
  ScheduledRecord,
  ScheduleRange,
  ScheduleState,
  StreamSchedule,
  WaitingRecord,
  When,
} from "../../store/mod.ts";
import type { Changes } from "../connection/_changes.ts";
import type { Database } from "../connection/_database.ts";
import { append, appendOnce, NOTHING } from "./_append.ts";
import { findStream, makeStream, type StreamRow } from "./_stream.ts";
import { appendRevised } from "./_subjects.ts";

const PAGE_SIZE = 500;

interface Row {
  readonly n: number;
  readonly due: number;
  readonly id: string;
  readonly fields: string;
  readonly subject: string | null;
  readonly base: number;
}

interface ScheduleRow {
  readonly waiting: number;
  readonly batch: number;
  readonly handed_out: number;
}

/** The stream of a schedule, and the layout by which its callers chose the stream. */
interface Place {
  readonly stream: string;
  readonly layout: number | undefined;
}

/** A schedule of a stream in an SQLite file. */
export class SqliteSchedule implements StreamSchedule {
  #db: Database;
  #changes: Changes;
  #now: () => number;
  #name: string;
  #layout: number | undefined;

  constructor(db: Database, changes: Changes, now: () => number, { stream, layout }: Place) {
    this.#db = db;
    this.#changes = changes;
    this.#now = now;
    this.#name = stream;
    this.#layout = layout;
  }

  async add(records: readonly ScheduledRecord[], options: AddOptions = {}): Promise<Added> {
    const db = this.#db;
    const layout = this.#layout;
    const own = layout === undefined ? options : { ...options, layout };
    const added = await db.write(() => {
      const now = this.#now();
      const stream = makeStream(db, this.#name);
      const batch = appendOnce(db, now, stream, own, records.length, () => {
        db.run("INSERT OR IGNORE INTO schedule (stream, layout) VALUES (?, ?)", ...this.#key(stream));
        const dues = records.map((record) => this.#insert(stream, record, now));
        return { ...NOTHING, length: dues.length, revisions: JSON.stringify(dues) };
      });
      return batch && { dues: batch.revisions === null ? [] : JSON.parse(batch.revisions) as number[], now };
    }, options.signal);
    // Not thrown in the transaction, which keeps that the batch was refused.
    if (added === undefined) throw layoutChanged(this.#name, layout);
    return added;
  }

  #insert(stream: StreamRow, { id, fields, when, subject, base = 0 }: ScheduledRecord, now: number): number {
    const due = dueAt(when, now);
    this.#remove(stream, id);
    this.#db.run(
      "INSERT INTO scheduled (stream, layout, due, id, fields, subject, base) VALUES (?, ?, ?, ?, ?, ?, ?)",
      ...this.#key(stream),
      due,
      id,
      JSON.stringify(fields),
      subject ?? null,
      base,
    );
    return due;
  }

  #key(stream: StreamRow): [stream: number, layout: number] {
    return [stream.id, this.#layout ?? 0];
  }

  #remove(stream: StreamRow, id: string): boolean {
    return this.#db.run("DELETE FROM scheduled WHERE stream = ? AND layout = ? AND id = ?", ...this.#key(stream), id) >
      0;
  }

  async promote(limit: number): Promise<Promoted> {
    const db = this.#db;
    const promoted = await db.write(() => {
      const now = this.#now();
      const stream = this.#open();
      if (stream === undefined) return { appended: 0, bytes: 0, ...this.#stateOf(stream, now) };
      const rows = db.all<Row>(
        `SELECT n, due, id, fields, subject, base FROM scheduled WHERE stream = ? AND layout = ? AND due <= ?
          ORDER BY due, n LIMIT ?`,
        ...this.#key(stream),
        now,
        limit,
      );
      let [appended, bytes] = [0, 0];
      for (const row of rows) {
        if (bytes > STEP_BYTES) break;
        bytes += this.#append(row, now);
        appended++;
      }
      return { appended, bytes, ...this.#stateOf(stream, now) };
    });
    if (promoted.appended > 0) this.#changes.wake(this.#name);
    return promoted;
  }

  /** Appends an entry to the stream, and returns its size. */
  #append({ n, due, fields, subject, base }: Row, now: number): number {
    const all: Fields = [...JSON.parse(fields), "scheduledfor", new Date(due).toISOString()];
    this.#db.run("DELETE FROM scheduled WHERE n = ?", n);
    if (subject === null) append(this.#db, now, this.#name, [all], {});
    else appendRevised(this.#db, now, this.#name, [{ fields: all, subject, base }], {});
    return sizeOf(all);
  }

  /** The stream, if it exists. Throws if a later layout is in force. */
  #open(): StreamRow | undefined {
    const stream = findStream(this.#db, this.#name);
    const layout = this.#layout;
    if (stream !== undefined && layout !== undefined && layout < stream.layout) throw layoutChanged(this.#name, layout);
    return stream;
  }

  state(): Promise<ScheduleState> {
    return this.#db.read(() => this.#stateOf(findStream(this.#db, this.#name), this.#now()));
  }

  #stateOf(stream: StreamRow | undefined, now: number): ScheduleState {
    if (stream === undefined) return { waiting: 0, due: undefined, now };
    const first = this.#db.get<{ due: number }>(
      "SELECT due FROM scheduled WHERE stream = ? AND layout = ? ORDER BY due LIMIT 1",
      ...this.#key(stream),
    );
    return { waiting: this.#scheduleOf(stream)?.waiting ?? 0, due: first?.due, now };
  }

  async *list(
    { from = 0, to = Number.MAX_SAFE_INTEGER, limit = Infinity, signal }: ScheduleRange = {},
  ): AsyncGenerator<readonly WaitingRecord[]> {
    let after = { due: Math.floor(from), n: -1 };
    for (let left = limit; left > 0;) {
      signal?.throwIfAborted();
      const rows = await this.#db.read(() => this.#page(after, Math.floor(to), Math.min(PAGE_SIZE, left)));
      signal?.throwIfAborted();
      if (rows.length === 0) return;
      left -= rows.length;
      after = rows.at(-1)!;
      yield rows.map(recordOf);
    }
  }

  #page(after: Pick<Row, "due" | "n">, to: number, size: number): Row[] {
    const stream = findStream(this.#db, this.#name);
    if (stream === undefined) return [];
    return this.#db.all<Row>(
      `SELECT n, due, id, fields, subject, base FROM scheduled
        WHERE stream = ? AND layout = ? AND (due, n) > (?, ?) AND due <= ? ORDER BY due, n LIMIT ?`,
      ...this.#key(stream),
      after.due,
      after.n,
      to,
      size,
    );
  }

  cancel(id: string): Promise<boolean> {
    return this.#db.write(() => {
      const stream = this.#open();
      return stream !== undefined && this.#remove(stream, id);
    });
  }

  move(id: string, when: When): Promise<Added> {
    return this.#db.write(() => {
      const now = this.#now();
      const due = dueAt(when, now);
      const stream = this.#open();
      const moved = stream !== undefined && this.#db.run(
            "UPDATE scheduled SET due = ? WHERE stream = ? AND layout = ? AND id = ?",
            due,
            ...this.#key(stream),
            id,
          ) > 0;
      return { dues: moved ? [due] : [], now };
    });
  }

  take(limit: number): Promise<Leaving> {
    return this.#db.write(() => {
      const stream = findStream(this.#db, this.#name);
      const schedule = stream && this.#scheduleOf(stream);
      if (schedule === undefined) return { batch: 1, records: [] };
      const { batch, handed_out } = schedule;
      const rows = this.#page({ due: 0, n: -1 }, Number.MAX_SAFE_INTEGER, handed_out === 0 ? limit : handed_out);
      if (handed_out > 0) return { batch, records: rows.map(recordOf) };
      let [count, bytes] = [0, 0];
      for (; count < rows.length && bytes <= STEP_BYTES; count++) bytes += rows[count]!.fields.length;
      this.#note(stream!, batch, count);
      return { batch, records: rows.slice(0, count).map(recordOf) };
    });
  }

  taken(batch: number): Promise<void> {
    return this.#db.write(() => {
      const stream = findStream(this.#db, this.#name);
      const leaving = stream && this.#scheduleOf(stream);
      if (leaving === undefined || leaving.batch !== batch || leaving.handed_out === 0) return;
      for (const { n } of this.#page({ due: 0, n: -1 }, Number.MAX_SAFE_INTEGER, leaving.handed_out)) {
        this.#db.run("DELETE FROM scheduled WHERE n = ?", n);
      }
      this.#note(stream!, batch + 1, 0);
    });
  }

  #scheduleOf(stream: StreamRow): ScheduleRow | undefined {
    return this.#db.get<ScheduleRow>(
      "SELECT waiting, batch, handed_out FROM schedule WHERE stream = ? AND layout = ?",
      ...this.#key(stream),
    );
  }

  #note(stream: StreamRow, batch: number, handedOut: number): void {
    this.#db.run(
      "UPDATE schedule SET batch = ?, handed_out = ? WHERE stream = ? AND layout = ?",
      batch,
      handedOut,
      ...this.#key(stream),
    );
  }
}

function recordOf({ id, fields, due }: Row): WaitingRecord {
  return { id, fields: JSON.parse(fields), due };
}
