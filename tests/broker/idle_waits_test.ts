import { assertEquals, assertRejects } from "@std/assert";
import { IdleWaits } from "../../src/broker/operating/_idle.ts";
import type { GroupState, StreamAdmin } from "../../src/store/mod.ts";

const IDLE: GroupState = {
  name: "group",
  pending: 0,
  retrying: 0,
  deferred: [],
  types: undefined,
  skipped: 0,
  expired: 0,
  whenDead: "continue",
  held: { keys: 0, waiting: 0, from: undefined },
  deadLetters: 0,
  oldestDeadLetter: undefined,
  lag: 0,
  lagIsExact: true,
  floor: undefined,
  control: undefined,
  consumers: [],
};

/** Waits on two streams. The second one has these groups, one list for each question; the last list stays. */
function waits(answers: GroupState[][], groupsOf: () => string[]): { waits: IdleWaits; asked: () => number } {
  let asked = 0;
  const next = () => answers[Math.min(asked++, answers.length - 1)]!;
  const admin = (stream: string) => {
    const info = () =>
      Promise.resolve({
        length: 0,
        bytes: 0,
        first: undefined,
        last: undefined,
        groups: stream === "two" ? next() : [IDLE],
      });
    return Promise.resolve({ info } as unknown as StreamAdmin);
  };
  const made = new IdleWaits({
    admin,
    groupsOf,
    closing: new AbortController().signal,
    enclosing: () => undefined,
    retrying: () => {},
  });
  return { waits: made, asked: () => asked };
}

Deno.test("idle() waits for a group that a subscription of the broker is about to make again", async () => {
  for (const options of [{ group: "group" }, {}]) {
    const { waits: lost, asked } = waits([[], [{ ...IDLE, lag: 1 }], [IDLE]], () => ["group"]);
    await lost.wait(["one", "two"], options);
    assertEquals(asked(), 3);
  }
});

Deno.test("idle() rejects for an unknown group as soon as no subscription reads for it", async () => {
  let groups = ["group"];
  const { waits: gone, asked } = waits([[]], () => groups);
  const waiting = assertRejects(() => gone.wait(["two"], { group: "group" }), RangeError, '"group"');
  groups = [];
  await waiting;
  assertEquals(asked(), 1);
  await assertRejects(() => gone.wait(["two"], { group: "other" }), RangeError, '"other"');
});
