import { assert, assertEquals } from "@std/assert";
import { type QueuedPublish, StreamPublisher } from "../../src/broker/publishing/_stream_publisher.ts";
import { InMemoryStore } from "../../src/memory/mod.ts";
import { type AppendOptions, type EventStore, type Fields, type Position, StoreError } from "../../src/store/mod.ts";

type Damage = "lose" | "miss" | "transient" | "forgotten" | Error;

interface Call {
  readonly sequence: number;
  readonly decided: number;
  readonly known: boolean;
  readonly count: number;
}

/** A stream publisher over a store that fails call by call, and the calls that it made. */
class Track {
  readonly calls: Call[] = [];
  readonly told: string[] = [];
  readonly publisher: StreamPublisher;
  readonly #store = new InMemoryStore();
  /** How the next calls fail, in order. */
  damages: (Damage | undefined)[] = [];
  /** True when a call reaches the store a turn of the event loop later. */
  distant = false;
  retries = 0;

  constructor() {
    const append = (stream: string, records: readonly Fields[], options?: AppendOptions) =>
      this.#append(stream, records, options);
    this.publisher = new StreamPublisher({
      store: { append } as Partial<EventStore> as EventStore,
      stream: "Stream",
      producer: "producer",
      retrying: () => this.retries++,
      appended: () => {},
    });
  }

  async #append(stream: string, records: readonly Fields[], options?: AppendOptions): Promise<readonly Position[]> {
    const { sequence, decided, known } = options!.producer!;
    this.calls.push({ sequence, decided, known, count: records.length });
    const damage = this.damages.shift();
    if (this.distant) await new Promise((resolve) => setTimeout(resolve, 1));
    if (damage === "transient") throw new StoreError("transient", "loading");
    if (damage === "forgotten") throw new StoreError("forgotten", "forgotten");
    if (damage instanceof Error) throw damage;
    if (damage === "miss") throw new StoreError("uncertain", "lost on its way");
    const positions = await this.#store.append(stream, records, options);
    if (damage === "lose") throw new StoreError("uncertain", "the answer was lost");
    return positions;
  }

  /** Publishes `count` records; the outcome is noted under the name. */
  send(name: string, { count = 1, timeout = 60_000 }: { count?: number; timeout?: number } = {}): QueuedPublish {
    const publish: QueuedPublish = {
      records: Array.from({ length: count }, (_, i) => ["id", `${name}${count === 1 ? "" : i}`]),
      bytes: 10 * count,
      ids: [name],
      deadline: performance.now() + timeout,
      stored: (positions, from) => this.told.push(`${name}: ${positions.slice(from, from + count).length} stored`),
      refused: () => this.told.push(`${name}: refused`),
      uncertain: (_error, forgotten) => this.told.push(`${name}: ${forgotten ? "forgotten" : "uncertain"}`),
      withdrawn: false,
    };
    this.publisher.push(publish);
    return publish;
  }

  async ids(): Promise<string[]> {
    const ids: string[] = [];
    for await (const page of this.#store.read("Stream")) ids.push(...page.map(({ fields }) => fields[1]!));
    return ids;
  }
}

Deno.test("StreamPublisher sends the publishes of one turn as one batch, and numbers batches", async () => {
  const track = new Track();
  track.send("a");
  track.send("b", { count: 3 });
  await track.publisher.drained();
  track.send("c");
  await track.publisher.drained();
  assertEquals(track.calls, [
    { sequence: 1, decided: 0, known: false, count: 4 },
    { sequence: 2, decided: 1, known: false, count: 1 },
  ]);
  assertEquals(track.told, ["a: 1 stored", "b: 3 stored", "c: 1 stored"]);
});

Deno.test("StreamPublisher puts at most 500 events into a batch, and splits no publish", async () => {
  const track = new Track();
  for (let i = 0; i < 9; i++) track.send(`p${i}`, { count: 300 });
  track.send("all", { count: 500 });
  for (let i = 0; i < 3_000; i++) track.send(`s${i}`);
  await track.publisher.drained();
  assert(track.calls.every(({ count }) => count <= 500));
  assertEquals(track.calls.reduce((sum, { count }) => sum + count, 0), 6_200);
  const ids = await track.ids();
  assertEquals(ids.slice(0, 300), Array.from({ length: 300 }, (_, i) => `p0${i}`));
  assertEquals(ids.slice(3_200), Array.from({ length: 3_000 }, (_, i) => `s${i}`));
});

Deno.test("StreamPublisher resends in order, with the old numbers, before new batches", async () => {
  const track = new Track();
  track.distant = true;
  track.damages = ["transient"];
  for (const name of ["a", "b", "c"]) {
    track.send(name);
    await Promise.resolve();
  }
  await new Promise((resolve) => setTimeout(resolve, 5));
  track.send("d");
  await track.publisher.drained();
  assertEquals(await track.ids(), ["a", "b", "c", "d"]);
  assertEquals(track.calls.map(({ sequence }) => sequence), [1, 2, 3, 1, 2, 3, 4]);
  assertEquals(track.retries, 1);
});

Deno.test("StreamPublisher expects to be known only after a reply of the store", async () => {
  const track = new Track();
  track.damages = ["lose", undefined, "lose"];
  track.send("a");
  await track.publisher.drained();
  track.send("b");
  await track.publisher.drained();
  assertEquals(track.calls.map(({ sequence, known }) => [sequence, known]), [
    [1, false],
    [1, false],
    [2, false],
    [2, true],
  ]);
  assertEquals(await track.ids(), ["a", "b"]);
});

Deno.test("StreamPublisher gives up a batch in doubt on timeout, and learns its outcome later", async () => {
  const track = new Track();
  track.damages = ["lose", "miss", "transient"];
  track.send("a", { timeout: 5 });
  await Promise.resolve();
  track.send("b", { timeout: 5 });
  await Promise.resolve();
  await new Promise((resolve) => setTimeout(resolve, 10));
  track.publisher.expire();
  track.send("c");
  await track.publisher.drained();
  assertEquals(track.told, ["a: uncertain", "b: uncertain", "a: 1 stored", "b: refused", "c: 1 stored"]);
  assertEquals(await track.ids(), ["a", "c"]);
});

Deno.test("StreamPublisher rejects an unsent publish as certain on timeout", async () => {
  const track = new Track();
  track.damages = Array.from({ length: 10 }, () => "transient");
  track.send("a", { timeout: 5 });
  await new Promise((resolve) => setTimeout(resolve, 10));
  track.send("b", { timeout: 0 });
  track.publisher.expire();
  track.damages = [];
  track.send("c");
  await track.publisher.drained();
  assertEquals(track.told, ["a: refused", "b: refused", "c: 1 stored"]);
  assertEquals(await track.ids(), ["c"]);
});

Deno.test("StreamPublisher rejects only the batch that the store refuses for good", async () => {
  const track = new Track();
  track.distant = true;
  track.damages = [undefined, new Error("out of memory")];
  for (const name of ["a", "b", "c", "d"]) {
    track.send(name);
    await Promise.resolve();
  }
  await track.publisher.drained();
  assertEquals(track.told.toSorted(), ["a: 1 stored", "b: refused", "c: 1 stored", "d: 1 stored"]);
  assertEquals(await track.ids(), ["a", "c", "d"]);
});

Deno.test("StreamPublisher asks for the outcome of a batch refused after a lost reply", async () => {
  for (const damage of ["lose", "miss"] as const) {
    const track = new Track();
    track.damages = [damage, new Error("out of memory")];
    track.send("a");
    await track.publisher.drained();
    track.send("b");
    await track.publisher.drained();
    assertEquals(track.told, ["a: uncertain", damage === "lose" ? "a: 1 stored" : "a: refused", "b: 1 stored"]);
    assertEquals(await track.ids(), damage === "lose" ? ["a", "b"] : ["b"]);
  }
});

Deno.test("StreamPublisher stops asking when the store fails for good", async () => {
  const track = new Track();
  track.damages = ["miss", new Error("no permission"), new Error("no permission")];
  track.send("a");
  await track.publisher.drained();
  assertEquals(track.told, ["a: uncertain", "a: forgotten"]);
  assertEquals(track.calls.map(({ count }) => count), [1, 1, 0]);
});

Deno.test("StreamPublisher never resends a batch that the store has forgotten", async () => {
  const track = new Track();
  track.damages = [undefined, "lose", "forgotten"];
  track.send("a");
  await track.publisher.drained();
  track.send("b");
  await track.publisher.drained();
  track.send("c");
  await track.publisher.drained();
  assertEquals(track.told, ["a: 1 stored", "b: forgotten", "c: 1 stored"]);
});

Deno.test("StreamPublisher leaves out a publish that was withdrawn before it was sent", async () => {
  const track = new Track();
  track.send("a");
  track.send("b").withdrawn = true;
  track.send("c");
  await track.publisher.drained();
  assertEquals(await track.ids(), ["a", "c"]);
  assertEquals(track.told, ["b: refused", "a: 1 stored", "c: 1 stored"]);
});

Deno.test("StreamPublisher sends nothing before holdUntil() has settled", async () => {
  const track = new Track();
  const { promise, reject } = Promise.withResolvers<void>();
  const held = track.publisher.holdUntil(promise);
  track.send("a");
  await new Promise((resolve) => setTimeout(resolve, 2));
  assertEquals(track.calls, []);
  reject(new Error("even if it fails"));
  await held;
  await track.publisher.drained();
  assertEquals(await track.ids(), ["a"]);
});

Deno.test("StreamPublisher rejects everything when it is closed", async () => {
  const track = new Track();
  track.damages = ["lose", "transient", "transient"];
  track.send("a");
  await Promise.resolve();
  track.send("b");
  await new Promise((resolve) => setTimeout(resolve, 2));
  track.send("c");
  track.publisher.close();
  track.send("d");
  assertEquals(track.told, ["a: uncertain", "b: refused", "c: refused", "d: refused"]);
});

Deno.test("StreamPublisher sends a new publish at once after all earlier ones timed out", async () => {
  const track = new Track();
  track.damages = Array.from({ length: 20 }, () => "transient");
  track.send("early", { timeout: 300 });
  while (track.told.length === 0) {
    await new Promise((resolve) => setTimeout(resolve, 10));
    track.publisher.expire();
  }
  assertEquals(track.told, ["early: refused"]);
  track.damages = [];
  const calls = track.calls.length;
  track.send("late", { timeout: 300 });
  await Promise.resolve();
  assertEquals(track.calls.length, calls + 1);
  await track.publisher.drained();
  assertEquals(track.told, ["early: refused", "late: 1 stored"]);
});
