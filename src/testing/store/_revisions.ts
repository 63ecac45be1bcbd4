import { assert, assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import {
  type EventStore,
  type Position,
  type Revised,
  type RevisedOptions,
  StoreError,
  type SubjectRange,
} from "../../store/mod.ts";
import { ack, type Bench, contract, positionsOf, type StoreContract } from "../_store_bench.ts";

type Options = RevisedOptions & { readonly store?: EventStore; readonly base?: number };

/** Appends one entry for each subject, in one batch. */
function append(bench: Bench, subjects: readonly string[], { store = bench.store, base, ...options }: Options = {}) {
  const records = subjects.map((subject) => {
    const [fields] = bench.entries(1);
    return { fields: [...fields!, "subject", subject], subject, ...(base === undefined ? {} : { base }) };
  });
  return store.appendRevised(bench.stream, records, options);
}

/** The records of a subject: positions, and revisions as the entries have them. */
async function read(bench: Bench, subject: string, range?: SubjectRange, store = bench.store): Promise<Revised[]> {
  const records: Revised[] = [];
  for await (const page of store.readSubject(bench.stream, subject, range)) {
    assert(page.length > 0, "A page is never empty");
    for (const { position, fields } of page) {
      assertEquals(fields.slice(4, 6), ["subject", subject]);
      records.push({ position, revision: revisionIn(fields)! });
    }
  }
  return records;
}

function revisionIn(fields: readonly string[]): number | undefined {
  const at = fields.findIndex((name, nth) => nth % 2 === 0 && name === "revision");
  return at < 0 ? undefined : Number(fields[at + 1]);
}

const revisionsOf = (appended: readonly Revised[]): number[] => appended.map(({ revision }) => revision);

async function assertConflict(appending: Promise<unknown>, revision: number): Promise<void> {
  const error = await assertRejects(() => appending, StoreError);
  assertEquals([error.kind, error.revision], ["conflict", revision]);
}

const producer = (sequence: number, decided = sequence - 1) => ({ id: "producer", sequence, decided, known: false });

export const revising: readonly StoreContract[] = [
  contract("41, 42", "appendRevised() numbers the entries of each subject without gaps", async (bench) => {
    const first = await append(bench, ["a", "b", "a"]);
    const second = await append(bench, ["b", "a", "c"]);
    assertEquals([revisionsOf(first), revisionsOf(second)], [[1, 1, 2], [2, 3, 1]]);
    const records = await bench.read();
    assertEquals(positionsOf(records), positionsOf([...first, ...second]));
    assertEquals(records.map(({ fields }) => revisionIn(fields)), [1, 1, 2, 2, 3, 1]);
    for (const { fields } of records) assertEquals(fields.slice(6, 7), ["revision"], "after the record's own fields");
    const last = await Promise.all(["a", "b", "c", "d"].map((subject) => bench.store.revision(bench.stream, subject)));
    assertEquals(last, [3, 2, 1, 0]);
  }),

  contract("41", "appendRevised() appends only if the subject has the expected revision", async (bench) => {
    const expecting = (revision: number) => ({ expected: { subject: "a", revision } });
    await assertConflict(append(bench, ["a"], expecting(1)), 0);
    assertEquals(revisionsOf(await append(bench, ["a", "b", "a"], expecting(0))), [1, 1, 2]);
    await assertConflict(append(bench, ["a"], expecting(0)), 2);
    await assertConflict(append(bench, ["b", "a"], expecting(1)), 2);
    assertEquals(revisionsOf(await append(bench, ["b", "a"], expecting(2))), [2, 3]);
    assertEquals((await bench.read()).length, 5);
    assertEquals(await bench.store.revision(bench.stream, "a"), 3);
  }),

  contract("41", "appendRevised() accepts each append of 50 writers once, without a gap", async (bench) => {
    const counts = await Promise.all(Array.from({ length: 50 }, async (_, writer) => {
      let conflicts = 0;
      for (let done = 0, sequence = 1, revision = 0; done < 4; sequence++) {
        const options = {
          producer: { id: `writer ${writer}`, sequence, decided: sequence - 1, known: sequence > 1 },
          expected: { subject: "a", revision },
        };
        try {
          const [appended] = await append(bench, ["a"], options);
          assertEquals(appended!.revision, revision + 1);
          revision = appended!.revision;
          done++;
        } catch (error) {
          assert(error instanceof StoreError && error.kind === "conflict", String(error));
          assert(error.revision! > revision, "the revision found is newer");
          revision = error.revision!;
          conflicts++;
        }
      }
      return conflicts;
    }));
    assertEquals(revisionsOf(await read(bench, "a")), Array.from({ length: 200 }, (_, nth) => nth + 1));
    assertEquals((await bench.read()).length, 200);
    assert(counts.some((conflicts) => conflicts > 0), "no writer met another");
  }),

  contract("30, 41", "appendRevised() resolves with the same revisions when a batch is sent again", async (bench) => {
    const first = await append(bench, ["a", "a", "b"], { producer: producer(1) });
    await append(bench, ["a"], { producer: producer(2, 0) });
    assertEquals(await append(bench, ["a", "a", "b"], { producer: { ...producer(1), known: true } }), first);
    assertEquals(await append(bench, [], { producer: { ...producer(1), known: true } }), first);
    assertEquals((await bench.read()).length, 4);
  }),

  contract("30, 41", "appendRevised() repeats a conflict, and takes the producer's next batch", async (bench) => {
    const options = { producer: producer(1), expected: { subject: "a", revision: 1 } };
    await assertConflict(append(bench, ["a"], options), 0);
    assertEquals(revisionsOf(await append(bench, ["a"], { producer: producer(2, 0) })), [1]);
    // The subject has the expected revision by now, but the batch is decided.
    await assertConflict(append(bench, ["a"], options), 0);
    await assertConflict(append(bench, [], { producer: options.producer }), 0);
    assertEquals(revisionsOf(await append(bench, ["a"], { producer: producer(3, 0) })), [2]);
    assertEquals((await bench.read()).length, 2);
  }),

  contract("30, 41", "appendRevised() without records gives up a batch that the store does not have", async (bench) => {
    assertEquals(await append(bench, []), []);
    assertEquals(await append(bench, [], { producer: producer(1) }), []);
    const error = await assertRejects(() => append(bench, ["a"], { producer: producer(1) }), StoreError);
    assertEquals(error.kind, "out-of-sequence");
    assertEquals(revisionsOf(await append(bench, ["a"], { producer: producer(2) })), [1]);
  }),

  contract(
    "41",
    "appendRevised() goes on after the higher one of the stream's revision and the base",
    async (bench) => {
      assertEquals(revisionsOf(await append(bench, ["a", "a"], { base: 5 })), [6, 7]);
      assertEquals(revisionsOf(await append(bench, ["a"], { base: 5 })), [8]);
      await assertConflict(append(bench, ["a"], { base: 10, expected: { subject: "a", revision: 8 } }), 10);
      const appended = await append(bench, ["a"], { base: 10, expected: { subject: "a", revision: 10 } });
      assertEquals(revisionsOf(appended), [11]);
      assertEquals(revisionsOf(await read(bench, "a")), [6, 7, 8, 11]);
      assertEquals(revisionsOf(await read(bench, "a", { fromRevision: 9 })), [11]);
      assertEquals(revisionsOf(await read(bench, "a", { toRevision: 9, reverse: true, limit: 2 })), [8, 7]);
    },
  ),

  contract(
    "41, 42",
    "append() and appendRevised() share a stream: entries of append() have no revision",
    async (bench) => {
      const [first] = await append(bench, ["a"]);
      await bench.store.append(bench.stream, [["id", "x", "payload", "{}", "subject", "a"]]);
      const [second] = await append(bench, ["a"]);
      assertEquals(await read(bench, "a"), [first, second]);
      assertEquals([first!.revision, second!.revision], [1, 2]);
      assertEquals((await bench.read()).map(({ fields }) => revisionIn(fields)), [1, undefined, 2]);
    },
  ),

  contract("41", "appendRevised() keeps subjects with unusual names, and streams, apart", async (bench) => {
    const names = ["__proto__", "constructor", "a b", "a", "a 1", "1", "", "it's", "ünï😀", " ", "a\nb", "a\u0000b"];
    assertEquals(revisionsOf(await append(bench, [...names, ...names])), names.map(() => 1).concat(names.map(() => 2)));
    for (const name of names) {
      assertEquals(await bench.store.revision(bench.stream, name), 2);
      assertEquals(revisionsOf(await read(bench, name)), [1, 2]);
    }
    assertEquals(await bench.store.revision("Other", "a"), 0);
    assertEquals(await Array.fromAsync(bench.store.readSubject("Other", "a")), []);
    const elsewhere = await bench.store.appendRevised("Other", [{ fields: ["id", "1"], subject: "a" }]);
    assertEquals(revisionsOf(elsewhere), [1]);
  }),

  contract("1, 41", "a group receives entries with their revisions, as a dead letter too", async (bench) => {
    await append(bench, ["a", "b"]);
    const member = await bench.join();
    const records = await bench.take(member);
    assertEquals(records.map(({ fields }) => revisionIn(fields)), [1, 1]);
    const [{ position, fence }, second] = records as [typeof records[0], typeof records[0]];
    const error = { name: "Error", message: "" };
    await member.settle([
      { kind: "dead", position, fence, reason: "permanent", attempts: 1, error },
      ...ack([second]),
    ]);
    assertEquals((await bench.letters()).map(({ fields }) => revisionIn(fields)), [1]);
  }),

  contract("42", "readSubject() reads a long subject from any revision, both ways", async (bench) => {
    const [long, positions] = [700, new Map<number, Position>()];
    for (let done = 0; done < long; done += 100) {
      const subjects = Array.from({ length: 200 }, (_, nth) => nth % 2 === 0 ? "long" : `other ${nth % 7}`);
      const appended = await append(bench, subjects);
      appended.filter((_, nth) => nth % 2 === 0).forEach(({ position, revision }) => positions.set(revision, position));
    }
    const expected = (from: number, to: number) =>
      Array.from({ length: Math.max(0, to - from + 1) }, (_, nth) => ({
        position: positions.get(from + nth)!,
        revision: from + nth,
      }));
    assertEquals(await read(bench, "long"), expected(1, long));
    assertEquals(await read(bench, "long", { reverse: true }), expected(1, long).reverse());
    for (
      const [from, to] of [[1, 1], [127, 130], [128, 128], [129, 256], [300, 650], [700, 700], [690, 999]] as const
    ) {
      const range = { fromRevision: from, toRevision: to };
      assertEquals(await read(bench, "long", range), expected(from, Math.min(to, long)));
      assertEquals(await read(bench, "long", { ...range, limit: 2 }), expected(from, Math.min(to, long, from + 1)));
      const backwards = expected(from, Math.min(to, long)).reverse();
      assertEquals(await read(bench, "long", { ...range, reverse: true }), backwards);
      assertEquals(await read(bench, "long", { ...range, reverse: true, limit: 3 }), backwards.slice(0, 3));
    }
    for (const range of [{ fromRevision: 701 }, { fromRevision: 5, toRevision: 4 }, { toRevision: 0 }, { limit: 0 }]) {
      assertEquals([await read(bench, "long", range), await read(bench, "long", { ...range, reverse: true })], [
        [],
        [],
      ]);
    }
    assertEquals(await read(bench, "nobody"), []);
  }),

  contract("42", "readSubject() and revision() go on where a trim has removed entries", async (bench) => {
    for (let done = 0; done < 400; done += 100) {
      await append(bench, Array.from({ length: 200 }, (_, nth) => nth % 2 === 0 ? "a" : "b"));
    }
    await append(bench, ["early"]);
    await append(bench, Array.from({ length: 100 }, () => "a"));
    await bench.admin.trim({ maxLength: 100 });
    const left = Array.from({ length: 100 }, (_, nth) => 401 + nth);
    assertEquals(revisionsOf(await read(bench, "a")), left);
    assertEquals(revisionsOf(await read(bench, "a", { reverse: true })), left.toReversed());
    assertEquals(revisionsOf(await read(bench, "a", { fromRevision: 100, limit: 3 })), [401, 402, 403]);
    assertEquals(await read(bench, "a", { toRevision: 400, reverse: true }), []);
    assertEquals(await read(bench, "early"), []);
    const { store, stream } = bench;
    assertEquals([await store.revision(stream, "early"), await store.revision(stream, "a")], [1, 500]);
    assertEquals(revisionsOf(await append(bench, ["early", "a"], { expected: { subject: "early", revision: 1 } })), [
      2,
      501,
    ]);
    await bench.admin.trim({ maxLength: 0 });
    assertEquals(await read(bench, "a"), []);
    assertEquals(revisionsOf(await append(bench, ["a"])), [502]);
    assertEquals(revisionsOf(await read(bench, "a")), [502]);
  }),

  contract("42", "readSubject() reads large entries page by page", async (bench) => {
    const payload = "x".repeat(300_000);
    const record = { fields: ["id", "1", "payload", payload, "subject", "a"], subject: "a" };
    for (let n = 0; n < 12; n++) await bench.store.appendRevised(bench.stream, [record]);
    const all = Array.from({ length: 12 }, (_, nth) => nth + 1);
    assertEquals(revisionsOf(await read(bench, "a")), all);
    assertEquals(revisionsOf(await read(bench, "a", { reverse: true })), all.toReversed());
  }),

  contract("42", "readSubject() rejects with the signal's reason", async (bench) => {
    await append(bench, ["a"]);
    const reason = new Error("enough");
    const reading = read(bench, "a", { signal: AbortSignal.abort(reason) });
    assertStrictEquals(await assertRejects(() => reading), reason);
    const appending = append(bench, ["a"], { signal: AbortSignal.abort(reason) });
    assertStrictEquals(await assertRejects(() => appending), reason);
  }),

  contract("41, 42", "revisions are those of all stores over the same data", async (bench) => {
    const other = await bench.reopen();
    const options = { producer: producer(1), expected: { subject: "a", revision: 0 } };
    const first = await append(bench, ["a"], options);
    assertEquals(await append(bench, ["a"], { ...options, store: other }), first);
    const second = await append(bench, ["a"], { store: other });
    assertEquals(revisionsOf(second), [2]);
    await assertConflict(append(bench, ["a"], { expected: { subject: "a", revision: 1 } }), 2);
    assertEquals(await read(bench, "a"), [...first, ...second]);
    assertEquals(await read(bench, "a", {}, other), [...first, ...second]);
  }, "second-store"),
];
