// Guarantee 45: the plan that spreads partitions over consumers.

import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import { type Partitions, type Plan, planFor } from "../../src/broker/consuming/assignment/_plan.ts";

/** So many partitions, the first `newest` of which are those of the newest layout. */
function live(count: number, newest = count, layout = 1): Partitions {
  return { layout, live: Array.from({ length: count }, (_, nth) => nth < newest) };
}

/** A group whose consumers come and go. Checks each plan, and counts the moves of each partition. */
class Group {
  plan: Plan | undefined;
  consumers: string[] = [];
  moves: number[];
  #partitions: number;
  #joined = 0;

  constructor(partitions: number) {
    this.#partitions = partitions;
    this.moves = Array.from({ length: partitions }, () => 0);
  }

  /** Changes the consumers in one step. */
  change({ stop, start = 0 }: { readonly stop?: readonly string[]; readonly start?: number }): void {
    const before = this.plan;
    this.consumers = this.consumers.filter((name) => !stop?.includes(name));
    for (let n = 0; n < start; n++) this.consumers.push(`c${++this.#joined}`);
    // As the store keeps it.
    const last = before && JSON.parse(JSON.stringify(before)) as Plan;
    this.plan = planFor(last, live(this.#partitions), this.consumers);
    const sizes = this.sizes;
    assert(Math.max(...sizes) - Math.min(...sizes) <= 1, `not balanced: ${sizes}`);
    assertEquals(sizes.reduce((sum, size) => sum + size), this.consumers.length > 0 ? this.#partitions : 0);
    assertStrictEquals(planFor(this.plan, live(this.#partitions), this.consumers), this.plan);
    for (const [partition, { owner }] of this.plan.partitions.entries()) {
      const previous = before?.partitions[partition]?.owner;
      if (previous !== undefined && owner !== previous) this.moves[partition]!++;
    }
  }

  get sizes(): number[] {
    const owners = this.plan!.partitions.map(({ owner }) => owner);
    return this.consumers.length === 0
      ? [0]
      : this.consumers.map((name) => owners.filter((owner) => owner === name).length);
  }

  forget(): void {
    this.moves = this.moves.map(() => 0);
  }

  get mostMoves(): number {
    return Math.max(...this.moves);
  }
}

/** Numbers below `n`, the same in each run. */
function randomOf(seed: number): (n: number) => number {
  let state = seed;
  return (n) => {
    state = Math.imul(state ^ state >>> 15, 0x2c1b3c6d) + 0x9e3779b9 | 0;
    return (state >>> 8) % n;
  };
}

/** Replaces all consumers, in any order, one by one. */
function deploy(group: Group, first: "stop" | "start", random: (n: number) => number): void {
  for (const old = [...group.consumers]; old.length > 0;) {
    const [name] = old.splice(random(old.length), 1);
    if (first === "start") group.change({ start: 1 });
    group.change({ stop: [name!] });
    if (first === "stop") group.change({ start: 1 });
  }
}

/** Consumers come and go, some of them at once, until there are `count`. */
function churn(group: Group, count: number, random: (n: number) => number): void {
  for (let steps = random(12); steps > 0 || group.consumers.length !== count; steps--) {
    const { length } = group.consumers;
    const start = length < count || random(2) === 0 ? 1 + random(2) : 0;
    const stops = length > count || random(2) === 0 ? Math.min(length, 1 + random(2)) : 0;
    const at = random(length + 1);
    group.change({ start, stop: group.consumers.slice(at, at + stops) });
  }
}

for (const first of ["stop", "start"] as const) {
  Deno.test(`planFor() moves each partition at most twice in a rolling deploy: ${first} one first`, () => {
    for (let consumers = 2; consumers <= 8; consumers++) {
      for (let partitions = 3; partitions <= 64; partitions++) {
        const group = new Group(partitions);
        const random = randomOf(consumers * 1_000 + partitions);
        group.change({ start: consumers });
        for (let again = 0; again < 3; again++) {
          group.forget();
          deploy(group, first, random);
          assert(group.mostMoves <= 2, `${consumers} consumers, ${partitions} partitions: ${group.moves}`);
        }
      }
    }
  });

  Deno.test(`planFor() does so after any history: ${first} one first`, () => {
    for (let seed = 1; seed <= 3_000; seed++) {
      const random = randomOf(seed);
      const [consumers, partitions] = [2 + random(7), 3 + random(62)];
      const group = new Group(partitions);
      for (let times = 0; times < 2; times++) {
        churn(group, consumers, random);
        group.forget();
        deploy(group, first, random);
        assert(group.mostMoves <= 2, `${consumers} consumers, ${partitions} partitions, seed ${seed}: ${group.moves}`);
      }
    }
  });
}

Deno.test("planFor() moves each partition at most once in a rolling deploy whose steps it sees at once", () => {
  for (let seed = 1; seed <= 500; seed++) {
    const random = randomOf(seed);
    const [consumers, partitions] = [2 + random(7), 3 + random(62)];
    const group = new Group(partitions);
    churn(group, consumers, random);
    group.forget();
    for (const name of group.consumers) group.change({ stop: [name], start: 1 });
    assert(group.mostMoves <= 1, `${consumers} consumers, ${partitions} partitions, seed ${seed}: ${group.moves}`);
  }
});

Deno.test("planFor() moves only the partitions of consumers that left, and those that newcomers need", () => {
  for (let seed = 1; seed <= 500; seed++) {
    const random = randomOf(seed);
    const group = new Group(1 + random(64));
    churn(group, 1 + random(8), random);
    const [before, { length }] = [group.plan!, group.consumers];
    const leaver = group.consumers[random(length)]!;
    group.change({ stop: [leaver] });
    for (const [partition, { owner }] of group.plan!.partitions.entries()) {
      const was = before.partitions[partition]!.owner;
      if (was !== leaver) assertEquals(owner, was);
    }
    const between = group.plan!;
    group.change({ start: 1 });
    const newcomer = group.consumers.at(-1);
    for (const [partition, { owner }] of group.plan!.partitions.entries()) {
      if (owner !== newcomer) assertEquals(owner, between.partitions[partition]!.owner);
    }
  }
});

Deno.test("planFor() spreads eight partitions over three consumers as 3, 3, 2", () => {
  const group = new Group(8);
  for (let n = 0; n < 3; n++) group.change({ start: 1 });
  assertEquals(group.sizes.toSorted(), [2, 3, 3]);
  group.change({ stop: ["c2"] });
  assertEquals(group.sizes, [4, 4]);
  group.change({ stop: ["c1", "c3"] });
  assert(group.plan!.partitions.every(({ owner }) => owner === undefined));
  group.change({ start: 3 });
  assertEquals(group.sizes.toSorted(), [2, 3, 3]);
});

Deno.test("planFor() leaves consumers idle when there are fewer partitions", () => {
  const group = new Group(2);
  group.change({ start: 4 });
  assertEquals(group.sizes.toSorted(), [0, 0, 1, 1]);
  const owners = () => group.plan!.partitions.map(({ owner }) => owner);
  const [first, second] = owners();
  group.change({ start: 1 });
  assertEquals(owners(), [first, second]);
  group.change({ stop: [first!] });
  assertEquals(owners(), ["c5", second]);
});

Deno.test("planFor() keeps the owners of partitions when the layout changes, and spreads the new ones evenly", () => {
  const consumers = ["a", "b", "c"];
  const eight = planFor(undefined, live(8), consumers);
  const twelve = planFor(eight, live(12, 12, 2), consumers);
  assertEquals(twelve.partitions.slice(0, 8), eight.partitions);
  const five = planFor(twelve, live(12, 5, 3), consumers);
  const sizes = consumers.map((name) => five.partitions.slice(0, 5).filter(({ owner }) => owner === name).length);
  assertEquals(sizes.toSorted(), [1, 2, 2]);
  const moved = five.partitions.filter(({ owner }, partition) => owner !== twelve.partitions[partition]!.owner);
  assert(moved.length <= 2, `${moved.length} partitions moved`);
});

Deno.test("planFor() plans 64 partitions for 16 consumers, and 1,024 for 100", () => {
  for (const [partitions, consumers] of [[64, 16], [1_024, 100]] as const) {
    const group = new Group(partitions);
    group.change({ start: consumers });
    group.forget();
    deploy(group, "start", randomOf(1));
    assert(group.mostMoves <= 2);
  }
});
