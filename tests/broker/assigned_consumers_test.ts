// Guarantee 45: consumers that share the partitions of a stream, with partitions that only know who has them.

import { assert, assertEquals, assertRejects } from "@std/assert";
import { AssignedConsumer } from "../../src/broker/consuming/assignment/_assigned.ts";
import { SharedRoster } from "../../src/broker/consuming/assignment/_roster.ts";
import { InMemoryStore } from "../../src/memory/mod.ts";
import { type SharedState, StoreError } from "../../src/store/mod.ts";
import { sleep, until } from "../../src/testing/_broker_bench.ts";

const LEASE = 600;

/** The partitions of a stream: each has one owner at a time. */
class Partitions {
  readonly store = new InMemoryStore();
  readonly state: SharedState = this.store.state("events:Auction", "assignment:group");
  readonly owners: (Consumer | undefined)[];
  /** How often a partition was joined by another consumer than the last one. */
  readonly moves: number[];
  readonly last: (Consumer | undefined)[];
  /** How long a consumer drains a partition, in milliseconds. */
  drain = 0;
  founded = 0;

  constructor(count: number) {
    this.owners = Array.from({ length: count }, () => undefined);
    this.last = [...this.owners];
    this.moves = this.owners.map(() => 0);
  }

  /** How many partitions each of these consumers has. */
  sizes(consumers: readonly Consumer[]): number[] {
    return consumers.map((consumer) => this.owners.filter((owner) => owner === consumer).length);
  }
}

/** A consumer. */
class Consumer {
  readonly name: string;
  readonly changes: (readonly number[])[] = [];
  readonly failures: unknown[] = [];
  readonly assigned: AssignedConsumer;
  /** Since when it is dead, by `performance.now()`. */
  died: number | undefined;
  #partitions: Partitions;

  constructor(partitions: Partitions, name: string, state: SharedState = partitions.state) {
    this.#partitions = partitions;
    this.name = name;
    const options = {
      roster: new SharedRoster(state, "group"),
      group: "group",
      stream: "events:Auction",
      consumer: name,
      partitions: { layout: 1, live: partitions.owners.map(() => true) },
      lease: LEASE,
    };
    this.assigned = new AssignedConsumer(options, {
      join: (partition) => this.#join(partition),
      leave: async (partition) => {
        if (this.died !== undefined) return await new Promise(() => {});
        await sleep(partitions.drain);
        assert(partitions.owners[partition] === this, `${name} left partition ${partition}, which it does not have`);
        partitions.owners[partition] = undefined;
      },
      rebalanced: (assigned) => void this.changes.push(assigned),
      retrying: () => {},
      failed: (error) => void this.failures.push(error),
    });
  }

  // deno-lint-ignore require-await -- async turns thrown errors into rejections
  async #join(partition: number): Promise<void> {
    const { owners, last, moves } = this.#partitions;
    const owner = owners[partition];
    if (owner !== undefined) {
      const expiresIn = owner.died === undefined ? LEASE : owner.died + LEASE - performance.now();
      if (expiresIn > 0) throw new StoreError("occupied", "occupied", { holder: owner.name, expiresIn });
    }
    if (last[partition] !== undefined && last[partition] !== this) moves[partition]!++;
    owners[partition] = last[partition] = this;
  }

  async start(): Promise<this> {
    await this.assigned.join(() => Promise.resolve(void this.#partitions.founded++));
    this.assigned.start();
    return this;
  }

  close(): Promise<void> {
    return this.assigned.close();
  }
}

/** A state that a process uses until it dies. */
function mortal(state: SharedState): SharedState & { die(): void } {
  let dead = false;
  const unlessDead = <T>(call: () => Promise<T>) => dead ? new Promise<never>(() => {}) : call();
  return {
    read: () => unlessDead(() => state.read()),
    write: (...args) => unlessDead(() => state.write(...args)),
    die: () => void (dead = true),
  };
}

async function startAll(partitions: Partitions, count: number, prefix = "c"): Promise<Consumer[]> {
  return await Promise.all(Array.from({ length: count }, (_, n) => new Consumer(partitions, `${prefix}${n}`).start()));
}

async function closeAll(consumers: readonly Consumer[]): Promise<void> {
  await Promise.all(consumers.map((consumer) => consumer.close()));
  for (const { failures } of consumers) assertEquals(failures, []);
}

/** Resolves when all partitions are spread evenly over these consumers; returns after how many milliseconds. */
async function spread(partitions: Partitions, consumers: readonly Consumer[]): Promise<number> {
  const since = performance.now();
  const least = Math.floor(partitions.owners.length / consumers.length);
  await until(() => {
    const sizes = partitions.sizes(consumers);
    return sizes.reduce((sum, size) => sum + size) === partitions.owners.length &&
      sizes.every((size) => size === least || size === least + 1);
  }, "the partitions are spread evenly");
  return performance.now() - since;
}

Deno.test("AssignedConsumer spreads eight partitions over three consumers within a second", async () => {
  const partitions = new Partitions(8);
  const consumers = await startAll(partitions, 3);
  const took = await spread(partitions, consumers);
  assert(took < 1_000, `${took} ms`);
  assertEquals(partitions.sizes(consumers).toSorted(), [2, 3, 3]);
  assert(partitions.founded >= 1);
  await closeAll(consumers);
  assertEquals(partitions.owners.filter((owner) => owner !== undefined), []);
});

for (const first of ["start", "stop"] as const) {
  Deno.test(`AssignedConsumer moves each partition at most twice in a rolling deploy: ${first} one first`, async () => {
    const partitions = new Partitions(8);
    const old = await startAll(partitions, 3, "old");
    await spread(partitions, old);
    partitions.moves.fill(0);
    const living = [...old];
    for (const [n, consumer] of old.entries()) {
      if (first === "start") living.push(await new Consumer(partitions, `new${n}`).start());
      await spread(partitions, living);
      await consumer.close();
      living.splice(living.indexOf(consumer), 1);
      if (first === "stop") living.push(await new Consumer(partitions, `new${n}`).start());
      await spread(partitions, living);
    }
    assert(Math.max(...partitions.moves) <= 2, `${partitions.moves}`);
    await closeAll(living);
  });
}

Deno.test("AssignedConsumer hands over after a drain, and at once when it closes", async () => {
  const partitions = new Partitions(4);
  partitions.drain = 300;
  const [one] = await startAll(partitions, 1, "one");
  const two = await new Consumer(partitions, "two").start();
  assertEquals(partitions.sizes([one!, two]), [4, 0]);
  const took = await spread(partitions, [one!, two]);
  assert(took > 100 && took < 1_000, `${took} ms`);
  assertEquals(two.changes.map((assigned) => assigned.length), [2]);
  assertEquals(one!.changes.map((assigned) => assigned.length), [4, 2]);
  const closing = one!.close();
  assert(await spread(partitions, [two]) < 1_000);
  await closing;
  await two.close();
});

Deno.test("AssignedConsumer that closes while it joins has no seat and no partition in the end", async () => {
  for (const call of ["read", "write"] as const) {
    const partitions = new Partitions(4);
    const gate = Promise.withResolvers<void>();
    const asked = Promise.withResolvers<void>();
    const slow = async <T>(name: string, run: () => Promise<T>) => {
      if (name !== call) return await run();
      asked.resolve();
      await gate.promise;
      return await run();
    };
    const consumer = new Consumer(partitions, "c0", {
      read: () => slow("read", () => partitions.state.read()),
      write: (...args) => slow("write", () => partitions.state.write(...args)),
    });
    const joining = consumer.assigned.join(() => Promise.resolve());
    await asked.promise;
    const closing = consumer.close();
    gate.resolve();
    await Promise.all([joining, closing]);
    assertEquals(partitions.owners, [undefined, undefined, undefined, undefined]);
    assertEquals((await new SharedRoster(partitions.state, "group").read()).roster?.seats ?? [], []);
  }
});

Deno.test("AssignedConsumer takes the partitions of a dead consumer after its lease, and not later", async () => {
  const partitions = new Partitions(6);
  const state = mortal(partitions.state);
  const dying = await new Consumer(partitions, "dying", state).start();
  const living = await startAll(partitions, 2);
  await spread(partitions, [dying, ...living]);
  state.die();
  dying.died = performance.now();
  const took = await spread(partitions, living);
  assert(took >= LEASE * 2 / 3 - 20 && took < LEASE + 1_000, `${took} ms`);
  await closeAll(living);
});

Deno.test("AssignedConsumer buries no one after an outage in which all leases ran out", async () => {
  const partitions = new Partitions(6);
  let down = false;
  const flaky: SharedState = {
    read: () => down ? Promise.reject(new StoreError("transient", "down")) : partitions.state.read(),
    write: (...args) => partitions.state.write(...args),
  };
  const consumers = await Promise.all([0, 1, 2].map((n) => new Consumer(partitions, `c${n}`, flaky).start()));
  await spread(partitions, consumers);
  partitions.moves.fill(0);
  const { version } = await partitions.state.read();
  down = true;
  await sleep(LEASE + 200);
  down = false;
  await until(async () => (await partitions.state.read()).version > version, "leases are renewed");
  await sleep(600);
  assertEquals(Math.max(...partitions.moves), 0);
  await closeAll(consumers);
});

Deno.test("AssignedConsumer spreads partitions although every third answer of the store is lost", async () => {
  const partitions = new Partitions(12);
  let calls = 0;
  const answer = async <T>(call: () => Promise<T>): Promise<T> => {
    const result = await call();
    if (++calls % 3 === 0) throw new StoreError("uncertain", "the answer was lost");
    return result;
  };
  const flaky: SharedState = {
    read: () => answer(() => partitions.state.read()),
    write: (...args) => answer(() => partitions.state.write(...args)),
  };
  const consumers = Array.from({ length: 4 }, (_, n) => new Consumer(partitions, `c${n}`, flaky));
  for (const consumer of consumers) {
    // The caller of subscribe gets the error, and tries again.
    while (!await consumer.start().then(() => true, () => false));
  }
  await spread(partitions, consumers);
  const { text } = await partitions.state.read();
  assertEquals(JSON.parse(text!).consumers.length, 4);
  await Promise.all(consumers.map((consumer) => consumer.close()));
});

Deno.test("AssignedConsumer joins again when its roster was deleted, and when it was given up for dead", async () => {
  const partitions = new Partitions(4);
  const consumers = await startAll(partitions, 2);
  await spread(partitions, consumers);
  await partitions.state.write(undefined, (await partitions.state.read()).version);
  await until(async () => {
    const { text } = await partitions.state.read();
    return text !== undefined && JSON.parse(text).consumers.length === 2;
  }, "both consumers are there again");
  await spread(partitions, consumers);
  for (;;) {
    const { text, version } = await partitions.state.read();
    const roster = JSON.parse(text!);
    roster.consumers[0][1] = 1;
    if (await partitions.state.write(JSON.stringify(roster), version)) break;
  }
  await spread(partitions, consumers);
  await closeAll(consumers);
});

Deno.test("AssignedConsumer rejects the name of a live consumer, and another assignment", async () => {
  const partitions = new Partitions(2);
  const [one] = await startAll(partitions, 1, "a.b");
  const error = await assertRejects(
    () => new Consumer(partitions, "a.b0").start(),
    StoreError,
    "alive under that name",
  );
  assertEquals([error.kind, error.holder?.startsWith("a.b0.")], ["name-taken", true]);
  assert(error.expiresIn! > 0 && error.expiresIn! <= LEASE);
  await one!.close();
  const text = JSON.stringify({ assignment: "shared", founded: true, consumers: [] });
  await partitions.state.write(text, (await partitions.state.read()).version);
  const refused = await assertRejects(() => new Consumer(partitions, "b").start(), StoreError);
  assertEquals(refused.kind, "assignment-differs");
  assert(refused.message.includes('"exclusive"') && refused.message.includes('"shared"'), refused.message);
});

Deno.test("AssignedConsumer that is closed while it joins leaves no trace", async () => {
  const partitions = new Partitions(2);
  const consumer = new Consumer(partitions, "a");
  const found = Promise.withResolvers<void>();
  const joining = consumer.assigned.join(() => found.promise);
  await sleep(5);
  const closing = consumer.close();
  found.resolve();
  await Promise.all([joining, closing]);
  assertEquals((await partitions.state.read()).text, undefined);
  assertEquals(partitions.owners, [undefined, undefined]);
});

Deno.test("AssignedConsumer spreads 64 partitions over 16 consumers", async () => {
  const partitions = new Partitions(64);
  const since = performance.now();
  const consumers = await startAll(partitions, 16);
  await spread(partitions, consumers);
  const took = performance.now() - since;
  assert(took < 5_000, `${took} ms`);
  await closeAll(consumers);
});
