import { assert, assertEquals } from "@std/assert";
import { until } from "../../src/testing/_broker_bench.ts";
import { type QueuedPublish, StreamPublisher } from "../../src/broker/publishing/_stream_publisher.ts";
import { plainAppend } from "../../src/broker/publishing/_append.ts";
import { InMemoryStore } from "../../src/memory/mod.ts";
import { type AppendOptions, type EventStore, type Fields, type Position, StoreError } from "../../src/store/mod.ts";

type Fault = "lose" | "miss" | "transient" | "forgotten" | Error;

interface Call {
  readonly sequence: number;
  readonly decided: number;
  readonly known: boolean;
  readonly count: number;
}

/** A stream publisher over a store whose calls fail as a test wants; it records the calls. */
class Recorded {
  readonly calls: Call[] = [];
  readonly told: string[] = [];
  readonly publisher: StreamPublisher;
  readonly #store = new InMemoryStore();
  /** How the next calls fail, in order; undefined for a call that succeeds. */
  faults: (Fault | undefined)[] = [];
  /** True when calls take a turn of the event loop. */
  distant = false;
  retries = 0;

  constructor() {
    const append = (stream: string, records: readonly Fields[], options?: AppendOptions) =>
      this.#append(stream, records, options);
    this.publisher = new StreamPublisher({
      stream: "Stream",
      append: plainAppend({ append } as Partial<EventStore> as EventStore, "Stream", () => {}),
      producer: "producer",
      retrying: () => this.retries++,
      appended: () => {},
    });
  }

  async #append(stream: string, records: readonly Fields[], options?: AppendOptions): Promise<readonly Position[]> {
    const { sequence, decided, known } = options!.producer!;
    this.calls.push({ sequence, decided, known, count: records.length });
    const fault = this.faults.shift();
    if (this.distant) await new Promise((resolve) => setTimeout(resolve, 1));
    if (fault === "transient") throw new StoreError("transient", "loading");
    if (fault === "forgotten") throw new StoreError("forgotten", "forgotten");
    if (fault instanceof Error) throw fault;
    if (fault === "miss") throw new StoreError("uncertain", "the call was lost");
    const positions = await this.#store.append(stream, records, options);
    if (fault === "lose") throw new StoreError("uncertain", "the reply was lost");
    return positions;
  }

  /** Publishes `count` records; the outcome is noted under the name. */
  send(
    name: string,
    { count = 1, timeout = 60_000 }: { count?: number; timeout?: number } = {},
  ): QueuedPublish & { withdrawn: boolean } {
    const publish = {
      events: [],
      records: Array.from({ length: count }, (_, i) => ["id", `${name}${count === 1 ? "" : i}`]),
      bytes: 10 * count,
      ids: [name],
      deadline: performance.now() + timeout,
      expected: undefined,
      when: undefined,
      scheduled: () => this.told.push(`${name}: scheduled`),
      stored: (positions: readonly Position[], from: number) =>
        this.told.push(`${name}: ${positions.slice(from, from + count).length} stored`),
      refused: () => this.told.push(`${name}: refused`),
      uncertain: (_error: Error, forgotten: boolean) =>
        this.told.push(`${name}: ${forgotten ? "forgotten" : "uncertain"}`),
      withdrawn: false,
    };
    this.publisher.push(publish);
    return publish;
  }

  /** Resolves when the publisher has noticed a failure. */
  async failed(): Promise<void> {
    await until(() => this.retries > 0, "the publisher has noticed a failure");
  }

  /** Expires publishes until the outcomes of so many were told. */
  async expired(count: number): Promise<void> {
    await until(() => {
      this.publisher.expire();
      return this.told.length >= count;
    }, `${count} publishes have timed out`);
  }

  async ids(): Promise<string[]> {
    const ids: string[] = [];
    for await (const page of this.#store.read("Stream")) ids.push(...page.map(({ fields }) => fields[1]!));
    return ids;
  }
}

Deno.test("StreamPublisher sends the publishes of one turn as one batch, and numbers batches", async () => {
  const recorded = new Recorded();
  recorded.send("a");
  recorded.send("b", { count: 3 });
  await recorded.publisher.drained();
  recorded.send("c");
  await recorded.publisher.drained();
  assertEquals(recorded.calls, [
    { sequence: 1, decided: 0, known: false, count: 4 },
    { sequence: 2, decided: 1, known: false, count: 1 },
  ]);
  assertEquals(recorded.told, ["a: 1 stored", "b: 3 stored", "c: 1 stored"]);
});

Deno.test("StreamPublisher puts at most 500 events into a batch, and splits no publish", async () => {
  const recorded = new Recorded();
  for (let i = 0; i < 9; i++) recorded.send(`p${i}`, { count: 300 });
  recorded.send("all", { count: 500 });
  for (let i = 0; i < 3_000; i++) recorded.send(`s${i}`);
  await recorded.publisher.drained();
  assert(recorded.calls.every(({ count }) => count <= 500));
  assertEquals(recorded.calls.reduce((sum, { count }) => sum + count, 0), 6_200);
  const ids = await recorded.ids();
  assertEquals(ids.slice(0, 300), Array.from({ length: 300 }, (_, i) => `p0${i}`));
  assertEquals(ids.slice(3_200), Array.from({ length: 3_000 }, (_, i) => `s${i}`));
});

Deno.test("StreamPublisher resends in order, with the old numbers, before new batches", async () => {
  const recorded = new Recorded();
  recorded.distant = true;
  recorded.faults = ["transient"];
  for (const name of ["a", "b", "c"]) {
    recorded.send(name);
    await Promise.resolve();
  }
  await recorded.failed();
  recorded.send("d");
  await recorded.publisher.drained();
  assertEquals(await recorded.ids(), ["a", "b", "c", "d"]);
  assertEquals(recorded.calls.map(({ sequence }) => sequence), [1, 2, 3, 1, 2, 3, 4]);
  assertEquals(recorded.retries, 1);
});

Deno.test("StreamPublisher expects to be known only after a reply of the store", async () => {
  const recorded = new Recorded();
  recorded.faults = ["lose", undefined, "lose"];
  recorded.send("a");
  await recorded.publisher.drained();
  recorded.send("b");
  await recorded.publisher.drained();
  assertEquals(recorded.calls.map(({ sequence, known }) => [sequence, known]), [
    [1, false],
    [1, false],
    [2, false],
    [2, true],
  ]);
  assertEquals(await recorded.ids(), ["a", "b"]);
});

Deno.test("StreamPublisher rejects an uncertain publish on timeout, and learns its outcome later", async () => {
  const recorded = new Recorded();
  recorded.faults = ["lose", "miss", "transient"];
  recorded.send("a", { timeout: 5 });
  await Promise.resolve();
  recorded.send("b", { timeout: 5 });
  await recorded.expired(2);
  recorded.send("c");
  await recorded.publisher.drained();
  assertEquals(recorded.told, ["a: uncertain", "b: uncertain", "a: 1 stored", "b: refused", "c: 1 stored"]);
  assertEquals(await recorded.ids(), ["a", "c"]);
});

Deno.test("StreamPublisher rejects an unsent publish as certain on timeout", async () => {
  const recorded = new Recorded();
  recorded.faults = Array.from({ length: 10 }, () => "transient");
  recorded.send("a", { timeout: 5 });
  await recorded.failed();
  recorded.send("b", { timeout: 5 });
  await recorded.expired(2);
  recorded.faults = [];
  recorded.send("c");
  await recorded.publisher.drained();
  assertEquals(recorded.told, ["a: refused", "b: refused", "c: 1 stored"]);
  assertEquals(await recorded.ids(), ["c"]);
});

Deno.test("StreamPublisher rejects only the batch that the store refuses permanently", async () => {
  const recorded = new Recorded();
  recorded.distant = true;
  recorded.faults = [undefined, new Error("out of memory")];
  for (const name of ["a", "b", "c", "d"]) {
    recorded.send(name);
    await Promise.resolve();
  }
  await recorded.publisher.drained();
  assertEquals(recorded.told.toSorted(), ["a: 1 stored", "b: refused", "c: 1 stored", "d: 1 stored"]);
  assertEquals(await recorded.ids(), ["a", "c", "d"]);
});

Deno.test("StreamPublisher asks for the outcome of a batch refused after a lost reply", async () => {
  for (const fault of ["lose", "miss"] as const) {
    const recorded = new Recorded();
    recorded.faults = [fault, new Error("out of memory")];
    recorded.send("a");
    await recorded.publisher.drained();
    recorded.send("b");
    await recorded.publisher.drained();
    assertEquals(recorded.told, ["a: uncertain", fault === "lose" ? "a: 1 stored" : "a: refused", "b: 1 stored"]);
    assertEquals(await recorded.ids(), fault === "lose" ? ["a", "b"] : ["b"]);
  }
});

Deno.test("StreamPublisher stops asking when the store fails permanently", async () => {
  const recorded = new Recorded();
  recorded.faults = ["miss", new Error("no permission"), new Error("no permission")];
  recorded.send("a");
  await recorded.publisher.drained();
  assertEquals(recorded.told, ["a: uncertain", "a: forgotten"]);
  assertEquals(recorded.calls.map(({ count }) => count), [1, 1, 0]);
});

Deno.test("StreamPublisher never resends a batch that the store has forgotten", async () => {
  const recorded = new Recorded();
  recorded.faults = [undefined, "lose", "forgotten"];
  recorded.send("a");
  await recorded.publisher.drained();
  recorded.send("b");
  await recorded.publisher.drained();
  recorded.send("c");
  await recorded.publisher.drained();
  assertEquals(recorded.told, ["a: 1 stored", "b: forgotten", "c: 1 stored"]);
});

Deno.test("StreamPublisher leaves out a publish that was withdrawn before it was sent", async () => {
  const recorded = new Recorded();
  recorded.send("a");
  recorded.send("b").withdrawn = true;
  recorded.send("c");
  await recorded.publisher.drained();
  assertEquals(await recorded.ids(), ["a", "c"]);
  assertEquals(recorded.told, ["b: refused", "a: 1 stored", "c: 1 stored"]);
});

Deno.test("StreamPublisher sends nothing before holdUntil() has settled", async () => {
  const recorded = new Recorded();
  const { promise, reject } = Promise.withResolvers<void>();
  const held = recorded.publisher.holdUntil(promise);
  recorded.send("a");
  await new Promise((resolve) => setTimeout(resolve, 2));
  assertEquals(recorded.calls, []);
  reject(new Error("even if it fails"));
  await held;
  await recorded.publisher.drained();
  assertEquals(await recorded.ids(), ["a"]);
});

Deno.test("StreamPublisher rejects everything when it is closed", async () => {
  const recorded = new Recorded();
  recorded.faults = ["lose", "transient", "transient"];
  recorded.send("a");
  await Promise.resolve();
  recorded.send("b");
  await recorded.failed();
  recorded.send("c");
  recorded.publisher.close();
  recorded.send("d");
  assertEquals(recorded.told, ["a: uncertain", "b: refused", "c: refused", "d: refused"]);
});

Deno.test("StreamPublisher sends a new publish at once after all earlier ones timed out", async () => {
  const recorded = new Recorded();
  recorded.faults = Array.from({ length: 20 }, () => "transient");
  recorded.send("early", { timeout: 60 });
  await recorded.expired(1);
  assertEquals(recorded.told, ["early: refused"]);
  recorded.faults = [];
  const calls = recorded.calls.length;
  recorded.send("late");
  await Promise.resolve();
  assertEquals(recorded.calls.length, calls + 1);
  await recorded.publisher.drained();
  assertEquals(recorded.told, ["early: refused", "late: 1 stored"]);
});
