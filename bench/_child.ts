/**
 * A child process of the bench: `_child.ts <role as JSON>`. It prints `ready`, starts when it reads a line, and prints its
 * figures as a line of JSON.
 *
 * @module
 */
import type { Sample } from "./_case.ts";
import { Counter } from "./cases/consume.ts";
import { detailsOf } from "./_detail.ts";
import { rolling } from "./_load.ts";
import type { Role } from "./_roles.ts";
import { latencies } from "./_stats.ts";
import { openPartitioned } from "./systems/partitions.ts";
import { Numbered } from "./systems/revisions.ts";
import { openRaw } from "./systems/_raw_clients.ts";
import { findSystem } from "./systems/mod.ts";

const say = (text: string): void => void Deno.stdout.writeSync(new TextEncoder().encode(`${text}\n`));

// The parent sends one line at a time, and waits for a reply before the next.
const nextLine = async (): Promise<void> => void await Deno.stdin.read(new Uint8Array(16));

/** Runs, and prints the figures with the processor time used, in microseconds. */
async function measured(run: () => Promise<Sample | void>): Promise<void> {
  say("ready");
  await nextLine();
  const before = process.cpuUsage();
  const found = await run();
  const { user, system } = process.cpuUsage(before);
  say(JSON.stringify({ ...found, cpu: user + system }));
}

const ROLES: { [K in Role["do"]]: (role: Extract<Role, { do: K }>) => Promise<void> } = {
  publish: async ({ system, place, bytes, count }) => {
    const publisher = await findSystem(system).publisher(place);
    const detail = detailsOf(bytes);
    await measured(() => rolling(count, 500, (index) => publisher.send(detail(index))));
    await publisher.close();
  },
  consume: async ({ system, place, count, concurrency }) => {
    const counter = new Counter(count);
    const handler = counter.saw.bind(counter);
    const consumer = await findSystem(system).consumer!(place, { concurrency, handler });
    await measured(() => counter.all);
    await consumer.close();
    counter.check(system);
  },
  share: async ({ place, partitions, ms, concurrency }) => {
    const broker = await openPartitioned(place, partitions);
    let handled = 0;
    const handler = async () => {
      await new Promise((resolve) => setTimeout(resolve, ms));
      handled++;
    };
    await broker.subscribe(Numbered, handler, { group: "group", concurrency });
    await measured(async () => {
      await nextLine();
      return { handled };
    });
    await broker.close();
  },
  hold: async ({ system, place, lease }) => {
    const holding = Promise.withResolvers<void>();
    const handler = () => {
      holding.resolve();
      return new Promise<void>(() => {});
    };
    await findSystem(system).consumer!(place, { concurrency: 1, handler, ...(lease !== undefined && { lease }) });
    await holding.promise;
    say("ready");
  },
  ping: async ({ place }) => {
    const connection = await openRaw("node-redis", place.redis);
    await measured(async () => {
      let ended = false;
      void nextLine().then(() => ended = true);
      const took: number[] = [];
      while (!ended) {
        const start = performance.now();
        await connection.send(["PING"]);
        took.push(performance.now() - start);
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
      return { ...latencies(took), pings: took.length };
    });
    connection.close();
  },
};

const role: Role = JSON.parse(Deno.args[0]!);
await ROLES[role.do](role as never);
// Exit explicitly: the client of a peer may keep the process alive.
await nextLine();
Deno.exit();
