import type {
  DeadLetterBox,
  GroupChange,
  MemberOptions,
  Position,
  SharedState,
  StreamAdmin,
  StreamState,
  TrimOptions,
  TrimResult,
} from "../../store/mod.ts";
import { assertAlterable, assertIdle, unknownGroup } from "../../store/_groups.ts";
import { assertControlSize } from "../../store/_shared_state.ts";
import type { Changes } from "../connection/_changes.ts";
import type { Database } from "../connection/_database.ts";
import {
  allGroups,
  alterGroup,
  controlOf,
  findGroup,
  type GroupRow,
  groupState,
  removeGroup,
  rewind,
  writeControl,
} from "../consuming/_group.ts";
import { positionOf } from "../entries/_records.ts";
import { entryFrom, findStream, makeStream, type StreamRow } from "../entries/_stream.ts";
import { SqliteLetterBox } from "./_letters.ts";
import { trim } from "./_trim.ts";

/** The operations on one stream in an SQLite file. */
export class SqliteAdmin implements StreamAdmin {
  #db: Database;
  #changes: Changes;
  #now: () => number;
  #name: string;

  constructor(db: Database, changes: Changes, now: () => number, name: string) {
    this.#db = db;
    this.#changes = changes;
    this.#now = now;
    this.#name = name;
  }

  info(): Promise<StreamState> {
    const db = this.#db;
    return db.read(() => {
      const stream = findStream(db, this.#name);
      if (stream === undefined) return { length: 0, bytes: 0, first: undefined, last: undefined, groups: [] };
      const { first_n, next_n, last_ms, last_seq, bytes } = stream;
      const first = entryFrom(db, stream, first_n);
      return {
        length: next_n - first_n,
        bytes,
        first: first && positionOf(first),
        last: last_ms === null || last_seq === null ? undefined : positionOf({ ms: last_ms, seq: last_seq }),
        groups: allGroups(db, stream).map((group) => groupState(db, this.#now(), stream, group)),
      };
    });
  }

  async writeRefusal(): Promise<undefined> {
    // An empty transaction takes the lock of a writer and checks that the file is there, but writes nothing.
    await this.#db.write(() => {});
    return undefined;
  }

  async trim(options: TrimOptions): Promise<TrimResult> {
    const result = await trim(this.#db, this.#now(), this.#name, options);
    if (result.removed > 0) this.#changes.wake(this.#name);
    return result;
  }

  async rewind(
    name: string,
    to: MemberOptions["startFrom"],
  ): Promise<{ dropped: number; first: Position | undefined }> {
    const db = this.#db;
    const result = await db.write(() => {
      const { stream, group } = this.#find(name);
      return rewind(db, stream, group, to);
    });
    this.#changes.wake(this.#name);
    return result;
  }

  async alterGroup(name: string, change: GroupChange): Promise<void> {
    const db = this.#db;
    await db.write(() => {
      const { stream, group } = this.#find(name);
      assertAlterable(groupState(db, this.#now(), stream, group), this.#name);
      alterGroup(db, group, change);
    });
    this.#changes.wake(this.#name);
  }

  /** The group with its stream; a RangeError if there is none. To be called in a transaction. */
  #find(name: string): { stream: StreamRow; group: GroupRow } {
    const stream = findStream(this.#db, this.#name);
    const group = stream && findGroup(this.#db, stream, name);
    if (group !== undefined) return { stream: stream!, group };
    const existing = stream === undefined ? [] : allGroups(this.#db, stream).map(({ name }) => name);
    throw unknownGroup(name, this.#name, existing);
  }

  async removeGroup(name: string, { force = false }: { readonly force?: boolean } = {}): Promise<boolean> {
    const db = this.#db;
    const removed = await db.write(() => {
      const stream = findStream(db, this.#name);
      const group = stream && findGroup(db, stream, name);
      if (group === undefined) return false;
      if (!force) assertIdle(groupState(db, this.#now(), stream!, group), this.#name);
      removeGroup(db, group);
      return true;
    });
    if (removed) this.#changes.wake(this.#name);
    return removed;
  }

  fence(layout: number): Promise<Position | undefined> {
    const db = this.#db;
    return db.write(() => {
      const { id, last_ms: ms, last_seq: seq } = makeStream(db, this.#name);
      db.run("UPDATE stream SET layout = max(layout, ?) WHERE id = ?", layout, id);
      return ms === null || seq === null ? undefined : positionOf({ ms, seq });
    });
  }

  control(group: string): SharedState {
    const db = this.#db;
    return {
      read: () => db.read(() => controlOf(this.#find(group).group, this.#now())),
      write: async (text, version) => {
        assertControlSize(this.#name, group, text);
        const wrote = await db.write(() => writeControl(db, this.#now(), this.#find(group).group, text, version));
        if (wrote) this.#changes.wake(this.#name);
        return wrote;
      },
    };
  }

  deadLetters(group: string): DeadLetterBox {
    return new SqliteLetterBox(this.#db, this.#changes, this.#now, this.#name, group);
  }
}
