import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { type Position, StoreError } from "../../store/mod.ts";
import { ack, type Bench, contract, positionsOf, type StoreContract } from "../_store_bench.ts";

/** Sends a batch of one producer. */
function send(
  bench: Bench,
  sequence: number,
  { layout, count = 1, again = false, store = bench.store }: {
    readonly layout?: number;
    readonly count?: number;
    readonly again?: boolean;
    readonly store?: Bench["store"];
  } = {},
): Promise<readonly Position[]> {
  const producer = { id: "producer", sequence, decided: sequence - 1, known: sequence > 1 || again };
  return store.append(bench.stream, bench.entries(count), {
    producer,
    ...(layout === undefined ? {} : { layout }),
  });
}

async function assertRefused(sending: Promise<unknown>): Promise<void> {
  const error = await assertRejects(() => sending, StoreError);
  assertEquals(error.kind, "layout-changed");
  assertStringIncludes(error.message, "read the layout again");
}

export const fencing: readonly StoreContract[] = [
  contract("40", "append() with a layout works where there is no fence", async (bench) => {
    const positions = [await send(bench, 1, { layout: 0 }), await send(bench, 2, { layout: 7 })].flat();
    assertEquals(positionsOf(await bench.read()), positions);
  }),

  contract("40", "fence() resolves with the last position, and refuses appends of lower layouts", async (bench) => {
    const [position] = await send(bench, 1, { layout: 1 });
    assertEquals(await bench.admin.fence(2), position);
    await assertRefused(send(bench, 2, { layout: 1 }));
    await assertRefused(bench.append(1, { layout: 0 }));
    assertEquals(positionsOf(await bench.read()), [position]);
    await bench.append(1, { layout: 2 });
    await bench.append(1, { layout: 3 });
    await bench.append(1);
    assertEquals((await bench.read()).length, 4);
  }),

  contract("40", "fence() works before the first entry, may be repeated, and is never lowered", async (bench) => {
    assertEquals(await bench.admin.fence(3), undefined);
    assertEquals(await bench.admin.fence(3), undefined);
    assertEquals(await bench.admin.fence(1), undefined);
    await assertRefused(bench.append(1, { layout: 2 }));
    assertEquals(await bench.admin.info(), { length: 0, bytes: 0, first: undefined, last: undefined, groups: [] });
    const [position] = await bench.append(1, { layout: 3 });
    assertEquals(await bench.admin.fence(3), position);
  }),

  contract("40", "fence() keeps the last position of a trimmed stream", async (bench) => {
    const [, last] = await bench.append(2);
    await bench.admin.trim({ maxLength: 0 });
    assertEquals(await bench.admin.fence(2), last);
  }),

  contract("40, 30", "append() decides a batch that a fence refuses, and the next one follows it", async (bench) => {
    await send(bench, 1, { layout: 1 });
    await bench.admin.fence(2);
    await assertRefused(send(bench, 2, { layout: 1, count: 3 }));
    await assertRefused(send(bench, 3, { layout: 1 }));
    const [position] = await send(bench, 4, { layout: 2 });
    assertEquals((await bench.read()).at(-1)!.position, position);
    assertEquals((await bench.read()).length, 2);
  }),

  contract("40, 30", "append() answers a repeated batch as the first time, on both sides of a fence", async (bench) => {
    const positions = await send(bench, 1, { layout: 1, count: 2 });
    await bench.admin.fence(2);
    assertEquals(await send(bench, 1, { layout: 1, count: 2, again: true }), positions);
    await assertRefused(send(bench, 2, { layout: 1 }));
    await assertRefused(send(bench, 2, { layout: 1, again: true }));
    await send(bench, 3, { layout: 2 });
    await assertRefused(send(bench, 2, { layout: 1, again: true }));
    assertEquals((await bench.read()).length, 3);
  }),

  contract("40, 30", "append() without records finds nothing of a batch that a fence refused", async (bench) => {
    await send(bench, 1, { layout: 1 });
    await bench.admin.fence(2);
    await assertRefused(send(bench, 2, { layout: 1 }));
    assertEquals(await send(bench, 2, { count: 0, again: true }), []);
    assertEquals(await send(bench, 2, { layout: 1, count: 0, again: true }), []);
    assertEquals(await send(bench, 3, { layout: 1, count: 0 }), []);
    await send(bench, 4, { layout: 2 });
    assertEquals((await bench.read()).length, 2);
  }),

  contract("40, 30", "append() refuses a first batch behind a fence as decided", async (bench) => {
    await bench.admin.fence(2);
    await assertRefused(send(bench, 1, { layout: 1 }));
    await assertRefused(send(bench, 1, { layout: 1, again: true }));
    await send(bench, 2, { layout: 2 });
    assertEquals((await bench.read()).length, 1);
  }),

  contract("40", "fence() leaves reading and consuming as they are, and other streams open", async (bench) => {
    const member = await bench.join();
    const positions = await bench.append(2, { layout: 1 });
    await bench.admin.fence(2);
    const records = await bench.take(member);
    assertEquals(positionsOf(records), positions);
    assertEquals(await member.settle(ack(records)), []);
    await bench.store.append("Other", bench.entries(1), { layout: 1 });
  }),

  contract("40", "fence() holds for other stores over the same data", async (bench) => {
    const other = await bench.reopen();
    await send(bench, 1, { layout: 1 });
    await other.admin(bench.stream).fence(2);
    await assertRefused(send(bench, 2, { layout: 1 }));
    await assertRefused(send(bench, 2, { layout: 1, again: true, store: other }));
    assertEquals((await bench.read()).length, 1);
  }, "second-store"),

  contract("40", "fence() and concurrent appends leave no entry of a lower layout behind the fence", async (bench) => {
    let fenced: Position | undefined;
    const sending = Array.from({ length: 30 }, (_, n) => bench.append(1, { layout: 1 }).then(() => n, () => undefined));
    sending.splice(15, 0, bench.admin.fence(2).then((last) => void (fenced = last)));
    const stored = (await Promise.all(sending)).filter((n) => n !== undefined);
    const records = await bench.read();
    assertEquals(records.length, stored.length);
    assertEquals(records.at(-1)?.position, fenced);
  }),
];
