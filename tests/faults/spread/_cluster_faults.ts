import { slotOf } from "../../../src/redis/connection/cluster/_slots.ts";
import { eventually, type RedisCluster } from "../../redis/_cluster.ts";
import { becomes, isInSync, moveSlot, pairOf, promote } from "../../redis/cluster/_operating.ts";
import type { RedisServer } from "../../redis/_server.ts";
import type { Chance } from "../_seed.ts";
import type { Fault, Storm } from "../_storm.ts";
import { MOST_PARTITIONS } from "./_bids.ts";

const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** Primaries that are killed, frozen and hand over, and slots that move between them. One such fault at a time. */
export class ClusterFaults {
  #cluster: RedisCluster;
  #storm: Storm;
  #random: Chance;
  /** The master whose part of the slots has each partition, by their indices. */
  #homes: number[];

  constructor(cluster: RedisCluster, storm: Storm, random: Chance) {
    this.#cluster = cluster;
    this.#storm = storm;
    this.#random = random;
    this.#homes = Array.from(
      { length: MOST_PARTITIONS },
      (_, partition) => cluster.indexOf(`events:Auction#${partition}`),
    );
  }

  get faults(): readonly Fault[] {
    return [
      ["primary killed", 2, () => this.#storm.exclusively("cluster", () => this.#kill())],
      ["primary frozen", 1, () => this.#storm.exclusively("cluster", () => this.#freeze())],
      ["replica promoted", 1, () => this.#storm.exclusively("cluster", () => this.#promote())],
      ["slot moved", 4, () => this.#storm.exclusively("cluster", () => this.#move())],
      ["scripts forgotten", 1, () => this.#forget()],
    ];
  }

  #any(): number {
    return this.#random.between(0, this.#cluster.masters.length - 1);
  }

  #pairs(): Promise<(readonly [primary: RedisServer, replica: RedisServer])[]> {
    return Promise.all(this.#cluster.masters.map((_, nth) => pairOf(this.#cluster, nth)));
  }

  async #kill(): Promise<void> {
    const nth = this.#any();
    const [primary, replica] = await pairOf(this.#cluster, nth);
    await isInSync(replica);
    await primary.kill();
    this.#storm.tell(`primary ${nth}`, "killed");
    await becomes(replica, "master");
    await sleep(this.#random.between(0, 1_999));
    await primary.restart();
    await this.#rejoined(primary);
    this.#storm.tell(`primary ${nth}`, "is back as a replica");
  }

  // Shorter and longer than the time after which a silent node counts as failed.
  async #freeze(): Promise<void> {
    const nth = this.#any();
    const [primary] = await pairOf(this.#cluster, nth);
    const ms = this.#random.between(200, 4_000);
    primary.pause();
    this.#storm.tell(`primary ${nth}`, `frozen for ${ms} ms`);
    await sleep(ms);
    primary.resume();
    await this.#cluster.settled();
    const [now] = await pairOf(this.#cluster, nth);
    if (now !== primary) await this.#rejoined(primary);
    this.#storm.tell(`primary ${nth}`, now === primary ? "goes on" : "is a replica now");
  }

  async #promote(): Promise<void> {
    const nth = this.#any();
    const [primary, replica] = await pairOf(this.#cluster, nth);
    await promote(replica);
    await this.#rejoined(primary);
    this.#storm.tell(`primary ${nth}`, "handed over");
  }

  async #rejoined(node: RedisServer): Promise<void> {
    await becomes(node, "slave");
    await isInSync(node);
    await this.#cluster.settled();
  }

  async #move(): Promise<void> {
    const partition = this.#random.between(0, MOST_PARTITIONS - 1);
    const from = this.#homes[partition]!;
    const to = (from + this.#random.between(1, 2)) % this.#cluster.masters.length;
    const slot = String(slotOf(`events:Auction#${partition}`));
    this.#storm.tell(`partition ${partition}`, `moves from ${from} to ${to}`);
    // On a busy machine a replica may take over meanwhile. Then the next try asks its new primary.
    await eventually(async () => {
      const pairs = await this.#pairs();
      const primaries = pairs.map(([primary]) => primary);
      await moveSlot(primaries, slot, primaries[from]!, primaries[to]!);
      return true;
    }, 60_000);
    this.#homes[partition] = to;
    // A failover before the replicas know the new owner would bring back the old one.
    await this.#cluster.settled();
    await eventually(async () => {
      const pairs = await this.#pairs();
      const id = await pairs[to]![0].cli("CLUSTER", "MYID");
      const nodes = await Promise.all(pairs.flat().map((node) => node.cli("CLUSTER", "NODES")));
      return nodes.every((text) => text.split("\n").some((line) => line.startsWith(id) && hasSlot(line, Number(slot))));
    });
    this.#storm.tell(`partition ${partition}`, "has moved");
  }

  async #forget(): Promise<void> {
    const [primary] = await pairOf(this.#cluster, this.#any());
    await primary.cli("SCRIPT", "FLUSH");
  }
}

/** Whether a line of CLUSTER NODES lists the slot. */
function hasSlot(line: string, slot: number): boolean {
  return line.split(" ").slice(8).some((range) => {
    const [first, last = first] = range.split("-").map(Number) as [number, number?];
    return first <= slot && slot <= last;
  });
}
