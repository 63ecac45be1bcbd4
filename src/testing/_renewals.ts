import { assert } from "@std/assert";
import type { EventStore, GroupMember, MemberOptions } from "../store/mod.ts";
import { FaultyStore } from "./_faulty_store.ts";

// How often the event loop is checked, in milliseconds.
const HEARTBEAT = 10;

/**
 * Watches the renewals of leases. On a busy machine a lease may run out although it is renewed: then a test cannot
 * expect that deliveries were kept.
 */
export class Renewals implements AsyncDisposable {
  /** How many renewals the store has replied to. */
  count = 0;
  #lease: number;
  #lastOf = new Map<GroupMember, number>();
  #longestGap = 0;
  #slowestCall = 0;
  #longestStall = 0;
  #beat = performance.now();
  #timer: ReturnType<typeof setInterval>;

  /** @param lease The lease of all members, in milliseconds. */
  constructor(lease: number) {
    this.#lease = lease;
    this.#timer = setInterval(() => {
      const now = performance.now();
      this.#longestStall = Math.max(this.#longestStall, now - this.#beat - HEARTBEAT);
      this.#beat = now;
    }, HEARTBEAT);
  }

  /** The store, with members that are watched. */
  over(store: EventStore): EventStore {
    const watched = new FaultyStore(store);
    watched.member = (stream, group, options) => this.#join(store, stream, group, options);
    return watched;
  }

  async #join(store: EventStore, stream: string, group: string, options: MemberOptions): Promise<GroupMember> {
    const joined = performance.now();
    const member = await store.member(stream, group, options);
    this.#lastOf.set(member, joined);
    return {
      consumer: member.consumer,
      claim: (options) => member.claim(options),
      settle: (outcomes) => member.settle(outcomes),
      held: (deliveries) => member.held(deliveries),
      control: () => member.control(),
      keep: (delivery, name, text) => member.keep(delivery, name, text),
      kept: (delivery) => member.kept(delivery),
      renew: async (held, options) => {
        const asked = performance.now();
        const lost = await member.renew(held, options);
        const replied = performance.now();
        // The store may have begun the last lease when it was asked, and this one when it replied.
        this.#longestGap = Math.max(this.#longestGap, replied - this.#lastOf.get(member)!);
        this.#slowestCall = Math.max(this.#slowestCall, replied - asked);
        this.#lastOf.set(member, asked);
        this.count++;
        return lost;
      },
      leave: () => {
        this.#lastOf.delete(member);
        return member.leave();
      },
    };
  }

  /**
   * Whether no lease has run out. Fails if one may have, although the machine and the store were fast enough: brokers
   * renew a lease after a third of it.
   */
  inTime(): boolean {
    const now = performance.now();
    const gap = Math.max(this.#longestGap, ...[...this.#lastOf.values()].map((last) => now - last));
    if (gap < this.#lease - 5) return true;
    // From one request to the next reply there are two calls.
    const delay = Math.max(this.#longestStall, now - this.#beat) + 2 * this.#slowestCall;
    assert(delay > this.#lease / 2, `No renewal for ${gap} ms, although the machine caused only ${delay} ms of delay`);
    return false;
  }

  [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    return Promise.resolve();
  }
}
