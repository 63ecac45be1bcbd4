// Guarantee 9: the order of a key when one of its deliveries is lost, and comes again.

import { assertEquals } from "@std/assert";
import { defineEvent, EventBroker, type EventClass, type SubscribeOptions } from "../../mod.ts";
import { InMemoryStore } from "../../src/memory/mod.ts";
import type { Claim, ClaimOptions, GroupMember, MemberOptions, Outcome, Position } from "../../src/store/mod.ts";
import { Gate, until } from "../../src/testing/_broker_bench.ts";

class Bid extends defineEvent("Bid", { stream: "Auction", subject: "auction" })<{ auction: string; n: number }> {}
/** It is decoded asynchronously. */
class Checked extends defineEvent("Checked", {
  stream: "Checks",
  subject: "auction",
  schema: {
    "~standard": {
      version: 1,
      vendor: "test",
      validate: async (value) => await Promise.resolve({ value: value as { auction: string; n: number } }),
    },
  },
}) {}

/** A store that loses the delivery of the first retry, as a failover does: the group gets its entry again. */
class LosingStore extends InMemoryStore {
  /** Called when the delivery is about to be lost. */
  onLoss: () => Promise<void> = () => Promise.resolve();
  /** How many calls of `claim` have returned entries. */
  claimed = 0;
  /** The delivery is lost, and the consumer has learned of that. */
  readonly lost = new Gate();
  #loses = true;
  /** Claims that return while the delivery is lost tell their entries after that. */
  #losing = Promise.resolve();

  override async member(stream: string, group: string, options: MemberOptions): Promise<GroupMember> {
    const member = await super.member(stream, group, options);
    return {
      consumer: member.consumer,
      claim: (options) => this.#claim(member, options),
      settle: (outcomes) => this.#settle(member, outcomes),
      renew: (...args) => member.renew(...args),
      held: (deliveries) => member.held(deliveries),
      control: () => member.control(),
      keep: (delivery, name, text) => member.keep(delivery, name, text),
      kept: (delivery) => member.kept(delivery),
      leave: () => member.leave(),
    };
  }

  async #claim(member: GroupMember, options: ClaimOptions): Promise<Claim> {
    const claim = await member.claim(options);
    if (claim.records.length > 0) this.claimed++;
    await this.#losing;
    return claim;
  }

  async #settle(member: GroupMember, outcomes: readonly Outcome[]): Promise<readonly Position[]> {
    const retry = outcomes.find(({ kind }) => kind === "retry");
    if (retry === undefined || !this.#loses) return await member.settle(outcomes);
    this.#loses = false;
    this.#losing = this.lost.opened;
    await this.onLoss();
    const { position, fence } = retry;
    await member.settle([{ kind: "release", position, fence }]);
    // After the consumer has taken the reply.
    setTimeout(() => this.lost.open());
    return [position];
  }
}

/** Handles three events of a key, the first of which is lost after its first attempt. Returns the started handlers. */
async function run<C extends EventClass>(
  Class: C,
  make: (n: number) => InstanceType<C>,
  onLoss: (store: LosingStore, publish: (n: number) => Promise<unknown>) => Promise<void>,
  options: Partial<SubscribeOptions<InstanceType<C>>> = {},
): Promise<number[]> {
  const store = new LosingStore();
  await using broker = new EventBroker<EventClass>(store, {
    events: [Class],
    streams: { [Class === Bid ? "Auction" : "Checks"]: { partitions: 1 } },
  });
  store.onLoss = () => onLoss(store, (n) => broker.publish(make(n)));
  const started: number[] = [];
  const retry = { minTimeout: 1, maxTimeout: 1 };
  await broker.subscribe(Class, (event) => {
    const { n } = event.detail as { n: number };
    started.push(n);
    if (started.length === 1) throw new Error("again");
  }, { group: "group", concurrency: 4, lease: 60_000, retry, ...options });
  await broker.publish([make(1), make(2)]);
  await until(() => started.includes(3), "the third event is handled");
  await broker.idle();
  return started;
}

const bid = (n: number) => new Bid({ auction: "lamp", n });
const checked = (n: number) => new Checked({ auction: "lamp", n });

for (
  const [how, start] of [
    ["", (onLoss: Parameters<typeof run>[2]) => run(Bid, bid, onLoss)],
    [", decoded asynchronously", (onLoss: Parameters<typeof run>[2]) => run(Checked, checked, onLoss)],
    [", with keys that dead letters hold", (onLoss: Parameters<typeof run>[2]) => {
      return run(Bid, bid, onLoss, { whenDead: "hold-key" });
    }],
  ] as const
) {
  Deno.test(`a lost delivery comes again before later ones of its key that were claimed${how}`, async () => {
    const started = await start(async (_, publish) => void await publish(3));
    assertEquals(started, [1, 1, 2, 3]);
  });

  Deno.test(`a lost delivery comes again before later ones of its key whose claim is under way${how}`, async () => {
    const started = await start(async (store, publish) => {
      const { claimed } = store;
      await publish(3);
      await until(() => store.claimed > claimed, "the claim under way has got the third event");
    });
    assertEquals(started, [1, 1, 2, 3]);
  });
}
