import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import type { RebalanceEvent } from "../../../broker/mod.ts";
import { defineEvent, type EventClass } from "../../../events/mod.ts";
import { StoreError } from "../../../store/mod.ts";
import { type BrokerContract, contract, Counted, settled, told, until, within } from "../../_broker_bench.ts";
import { AssignedGroup, BidPlaced, events, GROUP, options, PARTITIONS } from "./_assigned_group.ts";

class AuctionEnded extends defineEvent("AuctionEnded", { stream: "Auction", subject: "auctionId" })<
  { auctionId: string }
> {}

export const assignmentOptions: readonly BrokerContract[] = [
  contract("45", "subscribe() refuses another assignment than the group has, and names both", async (bench) => {
    const [one, other] = [await bench.connect(events, options()), await bench.connect(events, options())];
    for (const [group, first, second] of [["x", "exclusive", "shared"], ["y", "shared", "exclusive"]] as const) {
      const subscription = await one.subscribe(BidPlaced, () => {}, { group, assignment: first });
      for (const closed of [false, true]) {
        if (closed) await subscription.close();
        const error = await assertRejects(
          () => other.subscribe(BidPlaced, () => {}, { group, assignment: second }),
          StoreError,
        );
        assertEquals(error.kind, "assignment-differs");
        for (const text of [first, second, group, "alterGroup"]) assertStringIncludes(error.message, text);
      }
      await other.subscribe(BidPlaced, () => {}, { group, assignment: first });
    }
  }),

  contract("45, 11", "a consumer with other terms is refused, and takes no partition from the group", async (bench) => {
    const service = new AssignedGroup(bench);
    const subscription = await service.start("a");
    const changes = told<RebalanceEvent>(subscription, "rebalance");
    const other = await bench.connect([BidPlaced, AuctionEnded], options());
    const errors = told(other, "error");
    const attempts = [
      ["types-differ", () => other.subscribe(AuctionEnded, () => {}, { group: GROUP })],
      ["types-differ", () => other.subscribe([BidPlaced, AuctionEnded], () => {}, { group: GROUP })],
      ["policy-differs", () => other.subscribe(BidPlaced, () => {}, { group: GROUP, whenDead: "hold-key" })],
    ] as const;
    for (const [kind, attempt] of attempts) {
      assertEquals((await within(assertRejects(attempt, StoreError), kind)).kind, kind);
    }
    await other.publish(new AuctionEnded({ auctionId: "auction-1" }));
    await service.publish(await service.connect(), 40);
    await settled(other, BidPlaced);
    service.assertOrder();
    assertEquals(service.handled.length, 40);
    assertEquals([changes.flatMap(({ lost }) => lost), errors], [[], []]);
  }),

  contract("45", "alterGroup() changes the assignment of a group without live consumers", async (bench) => {
    const broker = await bench.connect(events, options());
    const subscribe = (assignment: "exclusive" | "shared") =>
      broker.subscribe(BidPlaced, () => {}, { group: GROUP, assignment });
    const first = await subscribe("exclusive");
    const busy = await assertRejects(
      () => broker.alterGroup(BidPlaced, { group: GROUP, assignment: "shared" }),
      StoreError,
    );
    assertEquals(busy.kind, "group-busy");
    await first.close();
    for (const assignment of ["shared", "exclusive"] as const) {
      await broker.alterGroup(BidPlaced, { group: GROUP, assignment });
      await (await subscribe(assignment)).close();
    }
    const wrong = { group: GROUP, assignment: "sticky" as "shared" };
    await assertRejects(() => broker.alterGroup(BidPlaced, wrong), TypeError, '"exclusive" or "shared"');
  }),

  contract("45", "deleteGroup() forgets the assignment of the group, whose consumers end", async (bench) => {
    const [broker, other] = [await bench.connect(events, options()), await bench.connect(events, options())];
    const subscription = await broker.subscribe(BidPlaced, () => {}, { group: GROUP });
    const errors = told(subscription, "error");
    await assertRejects(() => other.deleteGroup(BidPlaced, { group: GROUP }), StoreError, "live consumers");
    await other.deleteGroup(BidPlaced, { group: GROUP, force: true });
    await assertRejects(() => subscription.closed, StoreError, "deleted");
    assert(errors.length > 0);
    await other.subscribe(BidPlaced, () => {}, { group: GROUP, assignment: "shared" });
  }),

  contract("45", "with assignment shared, every consumer reads all partitions", async (bench) => {
    const group = new AssignedGroup(bench);
    const [a, b] = [await group.start("a", { assignment: "shared" }), await group.start("b", { assignment: "shared" })];
    for (const { types } of [a.info(), b.info()]) {
      assertEquals(types.map(({ partition }) => partition), Array.from({ length: PARTITIONS }, (_, nth) => nth));
    }
  }),

  contract("45", "rebalance events tell which partitions a subscription gets and loses", async (bench) => {
    const group = new AssignedGroup(bench);
    const a = await group.start("a");
    const changes = told<RebalanceEvent>(a, "rebalance");
    await until(() => changes.length === 1, "the first partitions are told");
    const all = Array.from({ length: PARTITIONS }, (_, nth) => nth);
    const [first] = changes;
    assertEquals([first!.stream, first!.assigned, first!.gained, first!.lost], ["Auction", all, all, []]);
    await group.start("b");
    await group.spread();
    await until(() => changes.length === 2, "the loss is told");
    const second = changes[1]!;
    assertEquals([second.assigned, second.gained], [group.shares.get("a"), []]);
    assertEquals([...second.assigned, ...second.lost].sort((x, y) => x - y), all);
    await group.stop("b");
    await until(() => changes.length === 3, "the gain is told");
    assertEquals([changes[2]!.assigned, changes[2]!.gained], [all, second.lost]);
  }),

  contract(
    "45, 20",
    "subscribe() refuses the name of a live consumer, and takes that of a closed one",
    async (bench) => {
      const group = new AssignedGroup(bench);
      const broker = await bench.connect(events, options());
      await group.start("a", { lease: 600 });
      const error = await assertRejects(
        () => broker.subscribe(BidPlaced, () => {}, { group: GROUP, consumer: "a", lease: 600 }),
        StoreError,
      );
      assertEquals(error.kind, "name-taken");
      assertStringIncludes(error.message, '"a"');
      await group.stop("a");
      await group.start("a", { broker });
      await group.spread();
    },
  ),

  contract(
    "45",
    "subscribe() refuses an unknown assignment, and any for a stream without partitions",
    async (bench) => {
      const broker = await bench.connect<EventClass>([BidPlaced, Counted], options());
      const subscribe = (event: EventClass, assignment: unknown) =>
        broker.subscribe(event, () => {}, { group: GROUP, assignment: assignment as "shared" });
      await assertRejects(() => subscribe(BidPlaced, "sticky"), TypeError, '"exclusive" or "shared"');
      await assertRejects(() => subscribe(Counted, "shared"), TypeError, "no partitions");
    },
  ),
];
