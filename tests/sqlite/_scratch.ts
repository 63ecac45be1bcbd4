import { SqliteStore, type SqliteStoreOptions } from "../../src/sqlite/sqlite_store.ts";
import type { ClaimedRecord, Fields, Outcome } from "../../src/store/mod.ts";

/** A directory of one test's own, and the path of a database in it. */
export interface Scratch extends Disposable {
  readonly path: string;
  readonly file: string;
}

/** Makes a directory that goes with the test. */
export function scratch(): Scratch {
  const path = Deno.makeTempDirSync({ prefix: "tidings-" });
  return { path, file: `${path}/events.db`, [Symbol.dispose]: () => Deno.removeSync(path, { recursive: true }) };
}

/** A store in a directory of its own. */
export interface ScratchStore extends AsyncDisposable {
  readonly store: SqliteStore;
  readonly file: string;
}

/** Opens a store that goes with the test, files and all. */
export async function scratchStore(options: SqliteStoreOptions = {}): Promise<ScratchStore> {
  const dir = scratch();
  const store = await SqliteStore.open(dir.file, options);
  return {
    store,
    file: dir.file,
    [Symbol.asyncDispose]: async () => {
      await store[Symbol.asyncDispose]();
      dir[Symbol.dispose]();
    },
  };
}

/** As many entries, their ids counted from `from`. */
export function entries(count: number, from = 0): Fields[] {
  return Array.from({ length: count }, (_, index) => ["id", `${from + index}`, "payload", `{"n":${from + index}}`]);
}

/** The outcomes that acknowledge all of them. */
export function acks(records: readonly ClaimedRecord[]): Outcome[] {
  return records.map(({ position, fence }) => ({ kind: "ack", position, fence }));
}

/** The id of an entry that {@linkcode entries} made. */
export function idOf({ fields }: { readonly fields: Fields }): string {
  return fields[1]!;
}
