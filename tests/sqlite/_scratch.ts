import { SqliteStore, type SqliteStoreOptions } from "../../src/sqlite/sqlite_store.ts";
import type { ClaimedRecord, Fields, Outcome } from "../../src/store/mod.ts";

/** A directory for one test, and the path of a database in it. */
export interface Scratch extends Disposable {
  readonly path: string;
  readonly file: string;
}

/** Creates a directory that is deleted after the test. */
export function scratch(): Scratch {
  const path = Deno.makeTempDirSync({ prefix: "tidings-" });
  return { path, file: `${path}/events.db`, [Symbol.dispose]: () => Deno.removeSync(path, { recursive: true }) };
}

/** A store in its own directory. */
export interface ScratchStore extends AsyncDisposable {
  readonly store: SqliteStore;
  readonly file: string;
}

/** Opens a store that is closed and deleted after the test. */
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

/** `count` entries, whose ids count up from `from`. */
export function entries(count: number, from = 0): Fields[] {
  return Array.from({ length: count }, (_, index) => ["id", `${from + index}`, "payload", `{"n":${from + index}}`]);
}

/** Outcomes that acknowledge all these records. */
export function acks(records: readonly ClaimedRecord[]): Outcome[] {
  return records.map(({ position, fence }) => ({ kind: "ack", position, fence }));
}

/** The id of an entry of {@linkcode entries}. */
export function idOf({ fields }: { readonly fields: Fields }): string {
  return fields[1]!;
}

/**
 * Resolves after one turn of the event loop. A store looks at its file before that, so a claim or a read that found nothing
 * is waiting by then.
 */
export function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve));
}
