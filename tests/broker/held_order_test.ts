// Guarantees 43 and 48: a dead letter that is redriven while later events of its key are about to wait behind it.

import { assertEquals } from "@std/assert";
import { defineEvent, EventBroker, PermanentError } from "../../mod.ts";
import { InMemoryStore } from "../../src/memory/mod.ts";
import type { Claim, ClaimOptions, GroupMember, MemberOptions, Outcome, Position } from "../../src/store/mod.ts";
import { Gate, until } from "../../src/testing/_broker_bench.ts";

class Bid extends defineEvent("Bid", { stream: "Auction", subject: "auction" })<{ auction: string; n: number }> {}

/** A store that gets the first outcomes `wait` only after the letter was redriven, and its event was claimed. */
class SlowStore extends InMemoryStore {
  redrive: () => Promise<unknown> = () => Promise.resolve();
  #claims = 0;
  #isSlow = true;
  #claimed = new Gate();

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

  // The end of a claim reaches the store late, too.
  async #claim(member: GroupMember, { signal, ...options }: ClaimOptions): Promise<Claim> {
    const ended = new AbortController();
    signal.addEventListener("abort", () => this.#claimed.opened.then(() => ended.abort()));
    const claim = await member.claim({ ...options, signal: ended.signal });
    if (claim.records.length > 0) this.#claims++;
    return claim;
  }

  async #settle(member: GroupMember, outcomes: readonly Outcome[]): Promise<readonly Position[]> {
    if (this.#isSlow && outcomes.some(({ kind }) => kind === "wait")) {
      this.#isSlow = false;
      const before = this.#claims;
      await this.redrive();
      await until(() => this.#claims > before, "the redriven event is claimed");
      this.#claimed.open();
    }
    return await member.settle(outcomes);
  }
}

Deno.test("a redriven event stays before later ones of its key, though the partitions hold it back", async () => {
  const store = new SlowStore();
  await using broker = new EventBroker(store, { events: [Bid], streams: { Auction: { partitions: 1 } } });
  const bid = (n: number) => new Bid({ auction: "lamp", n });
  // After a change of their number, an entry that comes again is held back until the store was asked about older ones.
  await broker.publish(bid(0));
  await broker.repartition(Bid, { partitions: 2 });
  store.redrive = () => broker.redrive(Bid, { group: "group" });
  const handled: number[] = [];
  let died = false;
  await broker.subscribe(Bid, ({ detail: { n } }) => {
    if (n === 1 && !died) {
      died = true;
      throw new PermanentError("at first");
    }
    handled.push(n);
  }, { group: "group", whenDead: "hold-key", concurrency: 4, lease: 60_000 });
  await until(() => handled.length === 1, "the event of the first partitions is handled");
  await broker.publish([bid(1), bid(2), bid(3)]);
  await until(() => handled.length === 4, "all are handled");
  assertEquals(handled, [0, 1, 2, 3]);
});
