import { assertEquals } from "@std/assert";
import { type EventBroker, PermanentError } from "../../../broker/mod.ts";
import { type BrokerBench, type BrokerContract, contract, Gate, groupOf, settled, until } from "../../_broker_bench.ts";
import { FrozenStore } from "../../_frozen_store.ts";
import { AssignedGroup, BidPlaced, events, GROUP, options } from "./_assigned_group.ts";

const HOLD = { whenDead: "hold-key" } as const;
const AUCTIONS = 4;
const DYING_LEASE = 1_500;

/** Consumers that give up the first events of two auctions, and so hold the keys of these. */
class Holders extends AssignedGroup {
  fatal = true;

  constructor(bench: BrokerBench, partitions = 2) {
    super(bench, partitions);
    this.fails = ({ detail: { n } }) => {
      if (this.fatal && n < 2) throw new PermanentError("no good");
      return false;
    };
  }

  bid(broker: EventBroker<typeof BidPlaced>, count: number): Promise<void> {
    return this.publish(broker, count, AUCTIONS);
  }

  /** The numbers of the bids of an auction, as they were handled. */
  of(auction: number): number[] {
    return this.handled.map(({ event: { detail: { n } } }) => n).filter((n) => n % AUCTIONS === auction);
  }
}

/** Waits until so many events wait for their keys, and the group has settled all others. */
async function quiet(broker: EventBroker<typeof BidPlaced>, waiting: number): Promise<void> {
  await until(async () => {
    const { pending, lag, held } = await groupOf(broker, BidPlaced, GROUP);
    return lag === 0 && pending === waiting && held.waiting === waiting;
  }, `${waiting} events wait`);
}

export const holdingPartitions: readonly BrokerContract[] = [
  contract("17, 43, 45", "keys stay held when their consumer dies and their partitions move", async (bench) => {
    const group = new Holders(bench);
    const broker = await group.connect();
    let frozen!: FrozenStore;
    const doomed = await bench.over((store) => frozen = new FrozenStore(store), { events, ...options(2) });
    try {
      const dying = await group.start("dying", { ...HOLD, broker: doomed, lease: DYING_LEASE });
      await group.bid(broker, 20);
      await quiet(broker, 8);
      const gate = new Gate();
      group.gate = gate.opened;
      await group.bid(broker, 8);
      await until(() => dying.info().running > 0, "the consumer runs a handler");
      frozen.freeze();
      group.subscriptions.delete("dying");
      await group.start("b", { ...HOLD, lease: DYING_LEASE });
      await group.spread();
      gate.open();
      await until(() => dying.info().running === 0, "the handlers of the dead consumer have ended");
      await quiet(broker, 12);
      const { held: { keys }, deadLetters } = await groupOf(broker, BidPlaced, GROUP);
      assertEquals([keys, deadLetters, group.of(0), group.of(1)], [2, 2, [], []]);
      await group.start("c", HOLD);
      await group.spread();
      group.fatal = false;
      // Other consumers have the partitions by now, and events go on to come.
      await Promise.all([broker.redrive(BidPlaced, { group: GROUP }), group.bid(broker, 20)]);
      await settled(broker, BidPlaced, GROUP, 20_000);
      group.assertOrder(group.handled.filter(({ by }) => by === "dying").length);
      assertEquals((await groupOf(broker, BidPlaced, GROUP)).held, { keys: 0, waiting: 0, from: undefined });
    } finally {
      frozen.thaw();
    }
  }, "store"),

  contract(
    "9, 43, 45",
    "each key stays in order while its letter is redriven and its partition moves",
    async (bench) => {
      const group = new Holders(bench);
      const broker = await group.connect();
      await group.start("a", HOLD);
      await group.bid(broker, 40);
      await quiet(broker, 18);
      group.fatal = false;
      const starting = group.start("b", HOLD);
      const redriving = broker.redrive(BidPlaced, { group: GROUP });
      await group.bid(broker, 40);
      await Promise.all([starting, redriving]);
      await group.stop("a");
      await settled(broker, BidPlaced, GROUP, 20_000);
      group.assertOrder();
    },
  ),

  contract("29, 43, 45", "rewind() lifts the holds in all partitions, and held events come again", async (bench) => {
    const group = new Holders(bench);
    const broker = await group.connect();
    for (const name of ["a", "b"]) await group.start(name, HOLD);
    await group.spread();
    await group.bid(broker, 12);
    await quiet(broker, 4);
    group.fatal = false;
    await broker.rewind(BidPlaced, { group: GROUP, to: "beginning" });
    await settled(broker, BidPlaced, GROUP, 20_000);
    assertEquals([group.of(0), group.of(1), group.of(2)], [[0, 4, 8], [1, 5, 9], [2, 6, 10, 2, 6, 10]]);
    const { held: { keys }, deadLetters } = await groupOf(broker, BidPlaced, GROUP);
    assertEquals([keys, deadLetters], [0, 2]);
  }),
];
