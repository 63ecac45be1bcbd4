import { assert, assertEquals, assertRejects } from "@std/assert";
import type { Job } from "../../src/broker/consuming/jobs/_job.ts";
import { Settler } from "../../src/broker/consuming/jobs/_settler.ts";
import { type GroupMember, type Outcome, type Position, StoreError } from "../../src/store/mod.ts";

/** A settler over a member whose replies the test chooses; it records batches and reports. */
class Recorded {
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

Deno.test("Settler sends the outcomes of one turn as one batch, and collects the next batch meanwhile", async () => {
  const recorded = new Recorded();
  recorded.push("1-0", "1-1");
  await Promise.resolve();
  recorded.push("1-2");
  recorded.push("1-3");
  await recorded.drain();
  assertEquals(recorded.batches, [["1-0", "1-1"], ["1-2", "1-3"]]);
  assertEquals(recorded.told, ["1-0 settled", "1-1 settled", "1-2 settled", "1-3 settled"]);
  assertEquals(recorded.settler.backlog, 0);
});

Deno.test("Settler has at most two batches of 500 in flight", async () => {
  let inFlight = 0;
  let most = 0;
  const recorded = new Recorded(async () => {
    most = Math.max(most, ++inFlight);
    await new Promise((resolve) => setTimeout(resolve, 1));
    inFlight--;
    return [];
  });
  recorded.push(...positions(2_600));
  await recorded.drain();
  assertEquals(most, 2);
  assert(recorded.batches.every((batch) => batch.length <= 500));
  assertEquals(recorded.batches.flat(), positions(2_600));
  assertEquals(recorded.told.length, 2_600);
});

Deno.test("Settler reports refused outcomes", async () => {
  const recorded = new Recorded();
  recorded.refused = ["1-1"];
  recorded.push("1-0", "1-1");
  await recorded.drain();
  assertEquals(recorded.told, ["1-0 settled", "1-1 is lost", "1-1 refused"]);
});

Deno.test("Settler sends a batch again after the store was unreachable, and then reports a refusal", async () => {
  const replies = [new StoreError("transient", "locked"), undefined];
  const recorded = new Recorded(() => {
    const error = replies.shift();
    return error === undefined ? Promise.resolve(["1-0"]) : Promise.reject(error);
  });
  recorded.push("1-0");
  await recorded.drain();
  assertEquals(recorded.told, ["retrying", "1-0 is lost", "1-0 refused"]);
});

Deno.test("Settler takes a refusal for success after a reply was lost", async () => {
  const replies = [new StoreError("uncertain", "lost"), new StoreError("transient", "locked"), undefined];
  const recorded = new Recorded(() => {
    const error = replies.shift();
    return error === undefined ? Promise.resolve(["1-0"]) : Promise.reject(error);
  });
  recorded.push("1-0");
  await recorded.drain();
  assertEquals(recorded.told, ["retrying", "retrying", "1-0 settled"]);
});

Deno.test("Settler reports every outcome when the store fails permanently", async () => {
  const error = new Error("wrong password");
  const recorded = new Recorded(() => Promise.reject(error));
  recorded.push("1-0");
  await recorded.drain();
  assertEquals([recorded.failures, recorded.told], [[error], ["1-0 refused"]]);
});

Deno.test("Settler reports every outcome when the store does not respond in time", async () => {
  const recorded = new Recorded(() => Promise.reject(new StoreError("transient", "locked")));
  recorded.push("1-0");
  await Promise.resolve();
  recorded.push("1-1");
  await assertRejects(
    () => recorded.drain(AbortSignal.timeout(10)),
    Error,
    "Cannot settle recently handled events: locked",
  );
  assertEquals(recorded.told.filter((it) => it !== "retrying").toSorted(), ["1-0 refused", "1-1 refused"]);
  assertEquals(recorded.failures, []);
});
