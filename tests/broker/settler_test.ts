import { assert, assertEquals, assertRejects } from "@std/assert";
import type { Job } from "../../src/broker/consuming/_job.ts";
import { Settler } from "../../src/broker/consuming/_settler.ts";
import { type GroupMember, type Outcome, type Position, StoreError } from "../../src/store/mod.ts";

/** A settler over a member that settles as it is told to, and what was told. */
class Desk {
  readonly batches: Position[][] = [];
  readonly told: string[] = [];
  readonly settler: Settler;
  failures: unknown[] = [];
  refused: Position[] = [];
  #settle: (outcomes: readonly Outcome[]) => Promise<readonly Position[]>;

  constructor(settle?: (outcomes: readonly Outcome[]) => Promise<readonly Position[]>) {
    this.#settle = settle ?? (() => Promise.resolve(this.refused));
    const member: Partial<GroupMember> = {
      settle: (outcomes) => {
        this.batches.push(outcomes.map(({ position }) => position));
        return this.#settle(outcomes);
      },
    };
    this.settler = new Settler(member as GroupMember, {
      settled: (_job, { position }, refused) => void (refused && this.told.push(`${position} is lost`)),
      concluded: (_job, { position }, refused) => this.told.push(`${position} ${refused ? "refused" : "settled"}`),
      sending: () => undefined,
      wrote: () => {},
      retrying: () => this.told.push("retrying"),
      failed: (error) => this.failures.push(error),
    });
  }

  push(...positions: Position[]): void {
    for (const position of positions) {
      this.settler.push({} as Job, { kind: "ack", position, fence: "1" });
    }
  }

  async drain(signal: AbortSignal = AbortSignal.timeout(5_000)): Promise<void> {
    await this.settler.drain(signal);
  }
}

const positions = (count: number) => Array.from({ length: count }, (_, n): Position => `1-${n}`);

Deno.test("Settler sends what comes in one turn as one batch, and gathers while that is under way", async () => {
  const desk = new Desk();
  desk.push("1-0", "1-1");
  await Promise.resolve();
  desk.push("1-2");
  desk.push("1-3");
  await desk.drain();
  assertEquals(desk.batches, [["1-0", "1-1"], ["1-2", "1-3"]]);
  assertEquals(desk.told, ["1-0 settled", "1-1 settled", "1-2 settled", "1-3 settled"]);
  assertEquals(desk.settler.backlog, 0);
});

Deno.test("Settler has at most two batches of 500 under way", async () => {
  let flying = 0;
  let most = 0;
  const desk = new Desk(async () => {
    most = Math.max(most, ++flying);
    await new Promise((resolve) => setTimeout(resolve, 1));
    flying--;
    return [];
  });
  desk.push(...positions(2_600));
  await desk.drain();
  assertEquals(most, 2);
  assert(desk.batches.every((batch) => batch.length <= 500));
  assertEquals(desk.batches.flat(), positions(2_600));
  assertEquals(desk.told.length, 2_600);
});

Deno.test("Settler tells what was refused", async () => {
  const desk = new Desk();
  desk.refused = ["1-1"];
  desk.push("1-0", "1-1");
  await desk.drain();
  assertEquals(desk.told, ["1-0 settled", "1-1 is lost", "1-1 refused"]);
});

Deno.test("Settler sends again what could not be sent, and then a refusal counts", async () => {
  const answers = [new StoreError("transient", "locked"), undefined];
  const desk = new Desk(() => {
    const error = answers.shift();
    return error === undefined ? Promise.resolve(["1-0"]) : Promise.reject(error);
  });
  desk.push("1-0");
  await desk.drain();
  assertEquals(desk.told, ["retrying", "1-0 is lost", "1-0 refused"]);
});

Deno.test("Settler takes a refusal for its own success when an answer was lost", async () => {
  const answers = [new StoreError("uncertain", "lost"), new StoreError("transient", "locked"), undefined];
  const desk = new Desk(() => {
    const error = answers.shift();
    return error === undefined ? Promise.resolve(["1-0"]) : Promise.reject(error);
  });
  desk.push("1-0");
  await desk.drain();
  assertEquals(desk.told, ["retrying", "retrying", "1-0 settled"]);
});

Deno.test("Settler leaves nobody waiting when the store refuses for good", async () => {
  const error = new Error("wrong password");
  const desk = new Desk(() => Promise.reject(error));
  desk.push("1-0");
  await desk.drain();
  assertEquals([desk.failures, desk.told], [[error], ["1-0 refused"]]);
});

Deno.test("Settler leaves nobody waiting when the store does not answer in time", async () => {
  const desk = new Desk(() => Promise.reject(new StoreError("transient", "locked")));
  desk.push("1-0");
  await Promise.resolve();
  desk.push("1-1");
  await assertRejects(() => desk.drain(AbortSignal.timeout(10)), Error, "not responding");
  assertEquals(desk.told.filter((it) => it !== "retrying").toSorted(), ["1-0 refused", "1-1 refused"]);
  assertEquals(desk.failures, []);
});
