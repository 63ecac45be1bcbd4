import { assertEquals, assertRejects } from "@std/assert";
import { type EventStore, type Position, StoreError, type StoreErrorKind } from "../../store/mod.ts";
import { type Bench, contract, positionsOf, type StoreContract } from "../_store_bench.ts";

const id = "producer";

/** Sends a batch of `count` records; `decided` defaults to the batch before it. */
function send(
  bench: Bench,
  sequence: number,
  { count = 1, decided = sequence - 1, known = false, producer = id, store = bench.store }: {
    readonly count?: number;
    readonly decided?: number;
    readonly known?: boolean;
    readonly producer?: string;
    readonly store?: EventStore;
  } = {},
): Promise<readonly Position[]> {
  return store.append(bench.stream, bench.entries(count), { producer: { id: producer, sequence, decided, known } });
}

async function assertRefused(sending: Promise<unknown>, kind: StoreErrorKind): Promise<void> {
  const error = await assertRejects(() => sending, StoreError);
  assertEquals(error.kind, kind);
}

export const producing: readonly StoreContract[] = [
  contract("30", "append() resolves with the same positions when a batch is sent again", async (bench) => {
    const first = await send(bench, 1, { count: 3 });
    const second = await send(bench, 2, { count: 2, known: true });
    assertEquals(await send(bench, 1, { count: 3, known: true }), first);
    assertEquals(await send(bench, 2, { count: 2, known: true }), second);
    assertEquals(positionsOf(await bench.read()), [...first, ...second]);
  }),

  contract("30", "append() remembers the positions of the last 64 batches", async (bench) => {
    const answers = [];
    for (let sequence = 1; sequence <= 70; sequence++) answers.push(await send(bench, sequence, { count: 2 }));
    for (let sequence = 7; sequence <= 70; sequence++) {
      assertEquals(await send(bench, sequence, { count: 2, known: true, decided: 6 }), answers[sequence - 1]);
    }
    assertEquals((await bench.read()).length, 140);
  }),

  contract("30", "append() takes a producer's batches in the order of the calls", async (bench) => {
    const sequences = Array.from({ length: 8 }, (_, index) => index + 1);
    const positions = await Promise.all(sequences.map((sequence) => send(bench, sequence, { decided: 0 })));
    assertEquals(positionsOf(await bench.read()), positions.flat());
  }),

  contract("30", "append() refuses a batch after a gap, and takes it once the gap is closed", async (bench) => {
    await send(bench, 1);
    await assertRefused(send(bench, 3, { decided: 1, known: true }), "out-of-sequence");
    await send(bench, 2, { known: true });
    await send(bench, 3, { decided: 1, known: true });
    assertEquals((await bench.read()).length, 3);
  }),

  contract("30", "append() refuses a first batch whose predecessors are missing", async (bench) => {
    await assertRefused(send(bench, 2, { decided: 0 }), "out-of-sequence");
    assertEquals(await bench.read(), []);
  }),

  contract("30", "append() refuses a batch that was already decided", async (bench) => {
    await send(bench, 1);
    await send(bench, 4, { decided: 3, known: true });
    await assertRefused(send(bench, 2, { decided: 1, known: true }), "out-of-sequence");
    await assertRefused(send(bench, 3, { decided: 1, known: true }), "out-of-sequence");
    assertEquals((await bench.read()).length, 2);
  }),

  contract("30", "append() without records gives up a batch that the store does not have", async (bench) => {
    await send(bench, 1);
    assertEquals(await send(bench, 2, { count: 0, known: true }), []);
    await assertRefused(send(bench, 2, { decided: 1, known: true }), "out-of-sequence");
    assertEquals(await send(bench, 2, { count: 0, decided: 1, known: true }), []);
    const [third] = await send(bench, 3, { known: true });
    assertEquals(positionsOf(await bench.read()).at(-1), third);
    assertEquals((await bench.read()).length, 2);
  }),

  contract("30", "append() without records gives up a first batch", async (bench) => {
    assertEquals(await send(bench, 1, { count: 0 }), []);
    await assertRefused(send(bench, 1), "out-of-sequence");
    await send(bench, 2);
    assertEquals((await bench.read()).length, 1);
  }),

  contract("30", "append() without records resolves with the positions of a stored batch", async (bench) => {
    const positions = await send(bench, 1, { count: 3 });
    assertEquals(await send(bench, 1, { count: 0, known: true }), positions);
    assertEquals(await send(bench, 1, { count: 3, known: true }), positions);
    assertEquals((await bench.read()).length, 3);
  }),

  contract("30", "append() rejects as forgotten when a known producer has expired", async (bench) => {
    await bench.append(1);
    await assertRefused(send(bench, 2, { known: true }), "forgotten");
    await assertRefused(send(bench, 2, { count: 0, known: true }), "forgotten");
    assertEquals((await bench.read()).length, 1);
  }),

  contract("30", "append() accepts a new producer's batch when earlier ones are decided", async (bench) => {
    const positions = await send(bench, 5);
    assertEquals(await send(bench, 5, { known: true }), positions);
    await send(bench, 6, { known: true });
    assertEquals((await bench.read()).length, 2);
  }),

  contract("30", "append() counts batches by producer and stream", async (bench) => {
    await send(bench, 1);
    await send(bench, 2, { known: true });
    await send(bench, 1, { producer: "__proto__" });
    const producer = { id, sequence: 1, decided: 0, known: false };
    const elsewhere = await bench.store.append("Other", [["id", "1"]], { producer });
    const again = { ...producer, known: true };
    assertEquals(await bench.store.append("Other", [["id", "1"]], { producer: again }), elsewhere);
    assertEquals((await bench.read()).length, 3);
  }),

  contract("30", "append() remembers a producer for ten minutes after its last batch", async (bench) => {
    await send(bench, 1);
    bench.clock.advance(9 * 60_000);
    const positions = await send(bench, 2, { known: true });
    bench.clock.advance(9 * 60_000);
    await send(bench, 1, { producer: "newer" });
    assertEquals(await send(bench, 2, { known: true }), positions);
  }, "clock"),

  contract("30", "append() resolves with the positions of a batch that another store appended", async (bench) => {
    const other = await bench.reopen();
    const first = await send(bench, 1, { count: 2 });
    assertEquals(await send(bench, 1, { count: 2, known: true, store: other }), first);
    const second = await send(bench, 2, { known: true, store: other });
    assertEquals(await send(bench, 2, { known: true }), second);
    assertEquals((await bench.read()).length, 3);
  }, "second-store"),
];
