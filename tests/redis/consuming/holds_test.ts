// Guarantee 43 on Redis: what other programs, lost groups and lost keys do to held keys.

import { assertEquals } from "@std/assert";
import { groupKeys } from "../../../src/redis/_keys.ts";
import type { ClaimedRecord, GroupMember, Outcome, Position } from "../../../src/store/mod.ts";
import { openStore } from "../_bench.ts";
import { RedisServer } from "../_server.ts";

const STREAM = "events:Counted";
const KEYS = groupKeys(STREAM, "group");
const HELD = { lease: 60_000, startFrom: "beginning", whenDead: "hold-key" } as const;

const error = { name: "Error", message: "no" };
const ref = ({ position, fence }: ClaimedRecord) => ({ position, fence });
const dead = (record: ClaimedRecord, key: string): Outcome => ({
  kind: "dead",
  ...ref(record),
  reason: "permanent",
  attempts: 1,
  error,
  key,
});
const wait = (record: ClaimedRecord, key: string): Outcome => ({ kind: "wait", ...ref(record), key });

/** A group of one consumer on a server, and what tests do with both. */
class Bench {
  readonly server: RedisServer;
  readonly store: Awaited<ReturnType<typeof openStore>>;
  readonly member: GroupMember;

  constructor(server: RedisServer, store: Awaited<ReturnType<typeof openStore>>, member: GroupMember) {
    this.server = server;
    this.store = store;
    this.member = member;
  }

  /** Adds entries with these positions. */
  async add(...positions: readonly string[]): Promise<void> {
    for (const position of positions) await this.server.cli("XADD", STREAM, position, "id", position);
  }

  claim(limit = 100): ReturnType<GroupMember["claim"]> {
    return this.member.claim({ limit, signal: AbortSignal.timeout(5_000) });
  }

  async take(limit = 100): Promise<readonly ClaimedRecord[]> {
    return (await this.claim(limit)).records;
  }

  async held(key: string, ...positions: readonly string[]): Promise<readonly Position[]> {
    return (await this.member.held(positions.map((position) => ({ position: position as Position, key })))).positions;
  }

  get letters() {
    return this.store.admin(STREAM).deadLetters("group");
  }

  async state() {
    const { held: { keys, waiting }, pending } = (await this.store.admin(STREAM).info()).groups[0]!;
    return { keys, waiting, pending };
  }
}

function test(name: string, body: (bench: Bench) => Promise<void>): void {
  Deno.test(name, async () => {
    await using server = await RedisServer.start();
    await using store = await openStore(server.url);
    const member = await store.member(STREAM, "group", { consumer: "me", ...HELD });
    await body(new Bench(server, store, member));
    await member.leave();
  });
}

const positionsOf = (records: readonly { readonly position: Position }[]) => records.map(({ position }) => position);

test("a destroyed group keeps the holds of letters whose events do not come again, and lifts the others", async (bench) => {
  await bench.add("1-0", "2-0", "3-0", "4-0", "5-0");
  const [one, two, three, four, five] = await bench.take() as [
    ClaimedRecord,
    ClaimedRecord,
    ClaimedRecord,
    ClaimedRecord,
    ClaimedRecord,
  ];
  await bench.member.settle([dead(one, "a"), wait(two, "a"), dead(three, "b"), wait(four, "b"), wait(five, "a")]);
  assertEquals(await bench.state(), { keys: 2, waiting: 3, pending: 3 });
  await bench.member.renew([]);
  await bench.server.cli("XGROUP", "DESTROY", STREAM, "group");
  const { healed } = await bench.claim();
  assertEquals(healed, { from: "2-0", mayRepeat: true });
  assertEquals(await bench.state(), { keys: 1, waiting: 0, pending: 0 });
  const { records, holding } = await bench.claim();
  assertEquals([positionsOf(records), holding], [["2-0", "3-0", "4-0", "5-0"], (await bench.member.held([])).freed]);
  assertEquals(await bench.held("a", "2-0", "5-0"), ["2-0", "5-0"]);
  assertEquals(await bench.held("b", "3-0", "4-0"), []);
  await bench.member.settle([wait(records[0]!, "a"), wait(records[3]!, "a")]);
  await bench.letters.redrive();
  // The event of the other letter is delivered already, so that this letter is only removed.
  assertEquals(positionsOf(await bench.take()), ["1-0", "2-0", "5-0"]);
});

test("a deleted stream keeps all holds, since no event comes again", async (bench) => {
  await bench.add("1-0", "2-0");
  const [one, two] = await bench.take() as [ClaimedRecord, ClaimedRecord];
  await bench.member.settle([dead(one, "a"), wait(two, "a")]);
  await bench.server.cli("DEL", STREAM);
  assertEquals((await bench.claim()).healed, { from: undefined, mayRepeat: false });
  assertEquals(await bench.state(), { keys: 1, waiting: 0, pending: 0 });
  await bench.add("3-0");
  const [three] = await bench.take() as [ClaimedRecord];
  assertEquals(await bench.held("a", "3-0"), ["3-0"]);
  await bench.member.settle([wait(three, "a")]);
  await bench.letters.redrive();
  assertEquals(positionsOf(await bench.take(1)), ["1-0"]);
  assertEquals(positionsOf(await bench.take(1)), ["3-0"]);
});

test("waiting deliveries return when another program deletes the list of them", async (bench) => {
  await bench.add("1-0", "2-0", "3-0");
  const [one, ...later] = await bench.take() as [ClaimedRecord];
  await bench.member.settle([dead(one, "a"), ...later.map((record) => wait(record, "a"))]);
  await bench.server.cli("DEL", KEYS.waiting);
  const other = await bench.store.member(STREAM, "group", { consumer: "other", ...HELD });
  const { records, holding } = await other.claim({ limit: 10, signal: AbortSignal.timeout(5_000) });
  assertEquals([positionsOf(records), holding], [["2-0", "3-0"], (await other.held([])).freed]);
  await other.settle(records.map((record) => wait(record, "a")));
  assertEquals(await bench.state(), { keys: 1, waiting: 2, pending: 2 });
  await other.leave();
});

test("deliveries return by position, also those of one millisecond and those of a later time", async (bench) => {
  const positions = ["7-0", "7-9", "7-10", "7-11", "1500000000000-2", "1500000000000-10", "99999999999999-1"];
  await bench.add(...positions);
  const records = await bench.take();
  await bench.member.settle(
    records.toReversed().map((record, nth) => {
      return nth < records.length - 1 ? wait(record, "a") : dead(record, "a");
    }),
  );
  // The letter is written last: before that there is nothing to wait for.
  assertEquals(await bench.state(), { keys: 1, waiting: 0, pending: positions.length - 1 });
  await bench.member.settle((await bench.take()).map((record) => wait(record, "a")));
  assertEquals(await bench.state(), { keys: 1, waiting: positions.length - 1, pending: positions.length - 1 });
  await bench.letters.redrive();
  const order: Position[] = [];
  while (order.length < positions.length) order.push(...positionsOf(await bench.take(1)));
  assertEquals(order, positions);
});

test("keys and the numbers of waiting deliveries are gone from the server when nothing is held", async (bench) => {
  await bench.add("1-0", "2-0");
  const [one, two] = await bench.take() as [ClaimedRecord, ClaimedRecord];
  await bench.member.settle([dead(one, "a"), wait(two, "a")]);
  assertEquals(await bench.server.cli("HGETALL", KEYS.deadKeys), "a\n1-0");
  assertEquals(await bench.server.cli("EXISTS", KEYS.deadKeys, KEYS.deadHolds, KEYS.waiting), "3");
  await bench.letters.discard();
  assertEquals(await bench.server.cli("EXISTS", KEYS.deadKeys, KEYS.deadHolds, KEYS.waiting), "0");
  assertEquals(positionsOf(await bench.take()), ["2-0"]);
});
