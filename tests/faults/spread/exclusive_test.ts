// Guarantees 17, 19, 39, 45: consumers of partitions on one server, of which some are killed and one is frozen beyond its lease.

import { assertEquals } from "@std/assert";
import { EventBroker } from "@tidings/broker";
import { until } from "../../../src/testing/_broker_bench.ts";
import { openStore } from "../../redis/_bench.ts";
import { RedisServer } from "../../redis/_server.ts";
import { Fleet } from "../_chaos_fleet.ts";
import { testFault } from "../_seed.ts";
import { brokerOptions, CLASSES, SIZES, type SpreadRole } from "./_bids.ts";
import { CHILD, drained } from "./_run.ts";
import { type Stored, Verdict } from "./_verdict.ts";

const SLOTS = {
  "consumer-1": "consume",
  "consumer-2": "consume",
  "consumer-3": "consume",
  publisher: "publish",
  redriver: "redrive",
} as const;

testFault(
  "each subject is handled in order when consumers of partitions are killed, and one is frozen beyond its lease",
  async (chance) => {
    const folder = await Deno.makeTempDir({ prefix: "tidings-exclusive-" });
    const log = `${folder}/all.log`;
    const sizeFile = `${folder}/partitions`;
    Deno.writeTextFileSync(sizeFile, `${SIZES[0]}`);
    await using server = await RedisServer.start();
    await using broker = new EventBroker(await openStore(server.url), brokerOptions(SIZES[0]));
    const role = { client: "node-redis", replicated: false, auctions: undefined, sizeFile } as const;
    const permissions = [
      "--allow-net=127.0.0.1",
      "--allow-env",
      "--allow-sys",
      `--allow-read=${folder}`,
      `--allow-write=${folder}`,
    ];
    await using fleet = new Fleet<SpreadRole>(
      chance,
      CHILD,
      () => log,
      Object.entries(SLOTS).map(([name, kind]) => {
        return { name, role: { ...role, name: kind }, url: server.url.href, permissions };
      }),
    );
    const written = () => Deno.readTextFile(log).catch(() => "");
    const lines = async (text: string) => (await written()).split(text).length - 1;
    /** Waits until more events are handled, also in partitions that are taken over. */
    const handled = async (more: number) => {
      const before = await lines(" ok handled ");
      await until(async () => await lines(" ok handled ") >= before + more, "more events are handled");
    };
    const kill = async (at: number) => {
      const slot = fleet.slots[at]!;
      slot.end = "killed";
      await slot.process!.kill();
    };

    /** The consumers that have partitions. */
    const owners = async () => {
      const { groups } = await broker.info(CLASSES[0]);
      const { partitions = [] } = groups.find(({ name }) => name === "handled") ?? {};
      return new Set(partitions.flatMap(({ owner }) => owner ?? []));
    };

    await until(async () => (await owners()).size === 3, "all consumers have partitions");
    const first = await owners();
    await handled(50);
    const [, frozen] = fleet.slots;
    const { process } = frozen!;
    process!.pause();
    await kill(0);
    await until(async () => (await owners()).intersection(first).size === 1, "one of them has partitions");
    await handled(chance.between(1, 100));
    process!.resume();
    await handled(chance.between(1, 100));
    await kill(2);
    await handled(50);
    await fleet.calm();
    await fleet.end("publish");
    await drained(broker);
    await fleet.end("redrive");
    const history = await Array.fromAsync(
      broker.history(CLASSES),
      ({ id, position, detail }): Stored => ({ id, position: position!, ...detail }),
    );
    await fleet.end("consume");
    const verdict = new Verdict(await written(), ["over", "deadletter", "entrieslost", "grouplost"]);
    assertEquals([...fleet.failures, ...verdict.faults(history, { failovers: false })], []);
    await Deno.remove(folder, { recursive: true });
  },
  Deno.build.os === "windows",
);
