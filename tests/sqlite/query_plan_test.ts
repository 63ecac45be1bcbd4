import { assert, assertEquals } from "@std/assert";
import { DatabaseSync } from "node:sqlite";
import type { Outcome } from "../../src/store/mod.ts";
import { acks, entries, scratchStore } from "./_scratch.ts";

/** Records every statement that is prepared. */
function recordStatements(): { readonly statements: Set<string> } & Disposable {
  const statements = new Set<string>();
  const prepare = DatabaseSync.prototype.prepare;
  DatabaseSync.prototype.prepare = function (sql, ...rest) {
    statements.add(sql);
    return prepare.call(this, sql, ...rest);
  };
  return { statements, [Symbol.dispose]: () => void (DatabaseSync.prototype.prepare = prepare) };
}

Deno.test("no statement scans a whole table, and none sorts more than groups or consumers", async () => {
  using recorded = recordStatements();
  let time = 1_700_000_000_000;
  await using opened = await scratchStore({ now: () => time });
  const { store, file } = opened;
  const never = new AbortController().signal;
  const admin = store.admin("Stream");
  const producer = { id: "p", sequence: 1, decided: 0, known: false };
  const [first] = await store.append("Stream", entries(20), { producer });
  const revised = entries(2).map((fields) => ({ fields, subject: "s" }));
  await store.appendRevised("Revised", revised, { producer, expected: { subject: "s", revision: 0 } });
  for (const reverse of [true, false]) await Array.fromAsync(store.readSubject("Revised", "s", { reverse }));
  await store.revision("Revised", "s");
  const join = (consumer: string, version = 1) =>
    store.member("Stream", "group", {
      consumer,
      lease: 1_000,
      startFrom: first!,
      version,
      deferTimeout: 1_000,
      whenDead: "hold-key",
    });
  const member = await join("a");
  const { records } = await member.claim({ limit: 10, signal: never });
  const outcome = (index: number, rest: object) => ({ ...acks(records)[index]!, ...rest }) as Outcome;
  const error = { name: "Error", message: "no" };
  await member.settle([
    outcome(0, {}),
    outcome(1, { kind: "retry", attempt: 1, delay: 10 }),
    outcome(2, { kind: "retry", attempt: 1, delay: 10, hold: true }),
    outcome(3, { kind: "release" }),
    outcome(4, { kind: "dead", reason: "attempts", attempts: 1, error }),
    outcome(5, { kind: "dead", reason: "attempts", attempts: 1, error, key: "k" }),
    outcome(6, { kind: "isolate" }),
    outcome(7, { kind: "defer", version: 2 }),
    outcome(8, { kind: "defer", version: 3 }),
    outcome(9, { kind: "wait", key: "k" }),
  ]);
  await member.held([{ position: records[9]!.position, key: "k" }]);
  await member.renew(records, { stalled: true });
  await (await join("knowing", 2)).claim({ limit: 1, signal: never });
  time += 2_000;
  const heir = await join("b");
  await admin.trim({ maxLength: 19, force: true });
  await heir.claim({ limit: 10, signal: never });
  await Array.fromAsync(admin.deadLetters("group").list());
  await admin.deadLetters("group").redrive(["1"]);
  await admin.deadLetters("group").discard({ maxLength: 1, maxAge: 1_000 });
  await admin.deadLetters("group").redrive();
  await Array.fromAsync(store.read("Stream", { from: first!, to: first! }));
  await Array.fromAsync(store.read("Stream", { after: first!, reverse: true }));
  await heir.claim({ limit: 100, signal: never });
  const waiting = new AbortController();
  const claim = (await join("c")).claim({ limit: 1, signal: waiting.signal });
  await admin.trim({ maxAge: 1_000 });
  await admin.rewind("group", first!);
  await claim;
  await admin.info();
  await heir.leave();
  time += 10_000;
  await admin.alterGroup("group", { types: undefined, whenDead: "continue" });
  await admin.removeGroup("group", { force: true });

  const db = new DatabaseSync(file);
  const faults: string[] = [];
  let checked = 0;
  for (const sql of recorded.statements) {
    if (!/^\s*(SELECT|INSERT|UPDATE|DELETE)/.test(sql) || /pragma_|sqlite_master/.test(sql)) continue;
    checked++;
    const plan = db.prepare(`EXPLAIN QUERY PLAN ${sql}`).all() as { detail: string }[];
    for (const { detail } of plan) {
      // A group has few consumers and a stream has few groups, so these may be sorted.
      const sorts = /TEMP B-TREE/.test(detail) && !/FROM consumer(_group)? WHERE/.test(sql);
      if (sorts || /\bSCAN\b|AUTOMATIC/.test(detail)) faults.push(`${detail}: ${sql}`);
    }
  }
  db.close();
  assertEquals(faults, []);
  assert(checked > 40, `${checked} statements`);
});
