import { assert, assertEquals } from "@std/assert";
import { ack, contract, LONG, positionsOf, release, retry, sleep, type StoreContract } from "../_store_bench.ts";

export const claiming: readonly StoreContract[] = [
  contract("1, 5", "claim() takes new entries in order, up to its limit, each once", async (bench) => {
    const all = await bench.append(5);
    const [a, b] = [await bench.join("a"), await bench.join("b")];
    const taken = [
      ...await bench.take(a, 2),
      ...await bench.take(b, 1),
      ...await bench.take(a, 100),
    ];
    assertEquals(positionsOf(taken), all);
    assertEquals(taken.map(({ fields }) => fields), (await bench.read()).map(({ fields }) => fields));
    assert(taken.every(({ attempt, recovered }) => attempt === 1 && recovered === 0));
    await bench.nothing(a);
    await bench.nothing(b);
  }),

  contract("2, 16", "claim() gives each of two groups every entry", async (bench) => {
    const all = await bench.append(3);
    const [a, b] = [await bench.join("a", { group: "one" }), await bench.join("a", { group: "two" })];
    assertEquals(await bench.drain(a), all);
    assertEquals(await bench.drain(b), all);
  }),

  contract("2", "claim() never gives one entry to two of many consumers", async (bench) => {
    const members = await Promise.all(Array.from({ length: 10 }, (_, index) => bench.join(`c${index}`)));
    const enough = new AbortController();
    const seen = Promise.all(members.map(async (member) => {
      const positions = [];
      while (!enough.signal.aborted) {
        const { records } = await member.claim({ limit: 7, signal: enough.signal });
        positions.push(...positionsOf(records));
        assertEquals(await member.settle(ack(records)), []);
      }
      return positions;
    }));
    const all = (await Promise.all(Array.from({ length: 20 }, () => bench.append(20)))).flat();
    while ((await bench.group()).floor !== undefined && !bench.signal.aborted) await sleep(2);
    enough.abort();
    assertEquals((await seen).flat().toSorted(), all.toSorted());
  }),

  contract("4, 21", "claim() serves redeliveries before new entries, one source per call", async (bench) => {
    const [first, second, third, fourth] = await bench.append(4);
    const member = await bench.join();
    const taken = await bench.take(member, 3);
    assertEquals(await member.settle([...retry([taken[2]!], 0), ...release([taken[0]!]), ...ack([taken[1]!])]), []);
    const again = await bench.take(member);
    assertEquals(positionsOf(again), [first, third]);
    assertEquals(again.map(({ attempt }) => attempt), [1, 2]);
    assertEquals(positionsOf(await bench.take(member)), [fourth]);
    assert(second);
  }),

  contract(
    "17",
    "claim() serves new entries before redeliveries with newFirst, one source per call",
    async (bench) => {
      const [first, second, third, fourth] = await bench.append(4);
      await bench.die(2);
      const member = await bench.join();
      const newFirst = (limit: number) => member.claim({ limit, signal: bench.signal, newFirst: true });
      assertEquals(positionsOf((await newFirst(1)).records), [third]);
      assertEquals(positionsOf(await bench.take(member, 1)), [first]);
      assertEquals(positionsOf((await newFirst(10)).records), [fourth]);
      assertEquals(positionsOf((await newFirst(10)).records), [second]);
      const { records } = await bench.wake(member, () => bench.append(1), true);
      assertEquals(records.length, 1);
    },
  ),

  contract("6, 17", "claim() returns due, released and recovered entries in order of position", async (bench) => {
    const all = await bench.append(6);
    const { records } = await bench.die(3, "dead", ([, , third]) => retry([third!], 0, true));
    const member = await bench.join();
    const other = await bench.join("other");
    const recovered = await bench.take(member);
    assertEquals(positionsOf(recovered), positionsOf(records));
    const rest = await bench.take(member);
    assertEquals(await member.settle([...release(rest.toReversed()), ...release(recovered.toReversed())]), []);
    assertEquals(positionsOf(await bench.take(other)), all);
  }),

  contract("6", "claim() takes at most limit redeliveries, and the rest next time", async (bench) => {
    const all = await bench.append(5);
    const member = await bench.join();
    await member.settle(release(await bench.take(member)));
    const [first, second, third] = [await bench.take(member, 2), await bench.take(member, 2), await bench.take(member)];
    assertEquals([first.length, second.length, third.length], [2, 2, 1]);
    assertEquals(positionsOf([...first, ...second, ...third]), all);
  }),

  contract(
    "17",
    "claim() takes all deliveries of dead consumers before new entries, also with a small limit",
    async (bench) => {
      const all = await bench.append(6);
      // Its own held retry is not due and must not block the rest.
      await bench.die(5, "dead", (taken) => retry(taken.slice(0, 3), LONG, true));
      const member = await bench.join();
      assertEquals(positionsOf(await bench.take(member, 1)), [all[3]]);
      assertEquals(positionsOf(await bench.take(member, 1)), [all[4]]);
      assertEquals(positionsOf(await bench.take(member, 1)), [all[5]]);
    },
  ),

  contract("13", "claim() resolves when its signal is aborted, and loses nothing", async (bench) => {
    const member = await bench.join();
    const abort = new AbortController();
    const waiting = member.claim({ limit: 1, signal: abort.signal });
    await sleep(10);
    abort.abort(new Error("enough"));
    assertEquals(await waiting, { records: [], missing: [], disturbed: false });
    const all = [...await bench.append(1)];
    const { records } = await member.claim({ limit: 1, signal: AbortSignal.abort() });
    const racing = new AbortController();
    const race = member.claim({ limit: 2, signal: racing.signal });
    all.push(...await bench.append(1));
    racing.abort();
    const raced = await race;
    const rest = (await bench.glance(member)).records;
    assertEquals(positionsOf([...records, ...raced.records, ...rest]), all);
  }),

  contract("13", "claim() wakes when an entry is appended", async (bench) => {
    const member = await bench.join();
    let positions: readonly unknown[] = [];
    const { records } = await bench.wake(member, async () => positions = await bench.append(2));
    assertEquals(positionsOf(records), positions);
  }),

  contract("2", "claim() wakes all waiting members on an append and serves one", async (bench) => {
    const members = [await bench.join("a"), await bench.join("b"), await bench.join("c")];
    const enough = new AbortController();
    const claims = members.map((member) => member.claim({ limit: 1, signal: enough.signal }));
    await sleep(10);
    const all = await bench.append(2);
    let served = 0;
    for (const claim of claims) claim.then(({ records }) => served += records.length);
    while (served < 2 && !bench.signal.aborted) await sleep(2);
    enough.abort();
    assertEquals(positionsOf((await Promise.all(claims)).flatMap(({ records }) => records)).toSorted(), [...all]);
  }),

  contract("4, 21", "claim() wakes when a retry falls due, and not before", async (bench) => {
    const [position] = await bench.append(1);
    const [a, b] = [await bench.join("a"), await bench.join("b")];
    for (const [failures, member] of [a, b].entries()) {
      const taken = await bench.take(a);
      const settled = bench.now();
      assertEquals(await a.settle(retry(taken, bench.short)), []);
      const { records } = await bench.due(member, settled, bench.short);
      assertEquals(positionsOf(records), [position]);
      assertEquals(records[0]!.attempt, failures + 2);
      await member.settle(release(records));
    }
  }),

  contract("6, 32", "claim() wakes on a release and when a release's delay is over", async (bench) => {
    await bench.append(1);
    const [a, b] = [await bench.join("a"), await bench.join("b")];
    const first = await bench.take(a);
    const second = await bench.wake(b, () => a.settle(release(first)));
    assertEquals(second.records.length, 1);
    const third = await bench.wake(a, async () => {
      await b.settle(release(second.records, bench.short));
      await bench.pass(bench.short);
    });
    assertEquals(third.records.length, 1);
    assertEquals(third.records[0]!.attempt, 1);
  }),

  contract("17", "claim() wakes when the lease of a consumer with deliveries expires", async (bench) => {
    const [position] = await bench.append(1);
    const dead = await bench.join("dead", { lease: bench.short });
    const member = await bench.join();
    const claimed = bench.now();
    await bench.take(dead);
    bench.abandon(dead);
    const { records } = await bench.due(member, claimed, bench.short);
    assertEquals(positionsOf(records), [position]);
    assertEquals(records[0]!.recovered, 1);
  }),

  contract("32", "claim() wakes when a member with deliveries leaves", async (bench) => {
    const all = await bench.append(2);
    const [a, b] = [await bench.join("a"), await bench.join("b")];
    await bench.take(a);
    const { records } = await bench.wake(b, () => a.leave());
    assertEquals(positionsOf(records), all);
    assert(records.every(({ attempt, recovered }) => attempt === 1 && recovered === 0));
  }),

  contract("2, 17", "claim() is served and woken by another store over the same data", async (bench) => {
    const other = await bench.reopen();
    const [a, b] = [await bench.join("a"), await bench.join("b", { store: other })];
    const woken = await bench.wake(b, () => bench.append(1));
    assertEquals(woken.records.length, 1);
    const back = await bench.wake(a, () => b.settle(retry(woken.records, 0)));
    assertEquals(positionsOf(back.records), positionsOf(woken.records));
    assertEquals(back.records[0]!.attempt, 2);
    assertEquals(await b.settle(ack(woken.records)), positionsOf(woken.records));
    assertEquals(await a.settle(ack(back.records)), []);
  }, "second-store"),
];
