import {
  type Claim,
  type ClaimedRecord,
  type ClaimOptions,
  comparePositions,
  type DeliveryRef,
  type GroupMember,
  type Healed,
  type MemberOptions,
  type Outcome,
  type Position,
  type StoredRecord,
  StoreError,
} from "../../store/mod.ts";
import { reachOf } from "../../store/_reach.ts";
import type { BlockingReader } from "./_blocking_reader.ts";
import type { Reply } from "../connection/client.ts";
import { isNoGroup } from "../connection/_reply_error.ts";
import { outcomeArgs, parseFence } from "./_fence.ts";
import { groupError } from "../_group_error.ts";
import { type Batch, Intake } from "./_receive_buffer.ts";
import { type GroupKeys, keyList } from "../_keys.ts";
import { Possessions, type Settlement } from "./_held_claims.ts";
import { type Joined, Recovery } from "./_recovery.ts";
import { after } from "../connection/_replies.ts";
import type { Script } from "../scripts/_script.ts";
import type { Route } from "../connection/_topology.ts";
import { ANNOUNCE } from "../scripts/announce.ts";
import { HEAL } from "../scripts/heal.ts";
import { LEAVE } from "../scripts/leave.ts";
import { RENEW } from "../scripts/renew.ts";
import { SETTLE } from "../scripts/settle.ts";
import type { Waker } from "./_waker.ts";

const LEAVE_AT_ONCE = 1_000;

/** What a member needs of its store. */
export interface MemberContext {
  readonly link: Route;
  readonly keys: GroupKeys;
  readonly group: string;
  readonly consumer: string;
  readonly options: MemberOptions;
  readonly reader: BlockingReader;
  readonly waker: Waker;
  left(): void;
}

/** One consumer in a group of a Redis stream: new entries are read, and a script looks for what came back to the group. */
export class RedisMember implements GroupMember {
  readonly consumer: string;
  #context: MemberContext;
  #intake: Intake;
  #recovery: Recovery;
  #held = new Possessions();
  #life: string;
  #healing: Healed | undefined;
  #leaving = false;

  constructor(context: MemberContext, joined: Joined) {
    const { link, keys, group, consumer, reader, options: { lease } } = context;
    this.#context = context;
    this.consumer = consumer;
    this.#life = joined.life;
    const run = (script: Script, args: readonly string[]) => this.#run(script, args);
    const recovery = this.#recovery = new Recovery({
      link,
      keys,
      group,
      consumer,
      lease,
      reach: reachOf(context.options),
      run,
      known: () => {
        const kept = new Set(this.#intake.kept);
        return (position) => this.#held.has(position) || kept.has(position);
      },
      // A consumer that was given up, and is alive all the same, has to say anew by which connection it waits.
      robbed: () => this.#intake.announceAgain(),
    }, joined);
    this.#intake = new Intake({
      link,
      stream: keys.stream,
      group,
      consumer,
      reader,
      takings: () => recovery.takings,
      announce: (connection) => run(ANNOUNCE, [connection]),
      // What came back until now could not end the read, and what comes back from now on does.
      blocked: () => void recovery.ask(),
      woken: () => recovery.disturb(),
      arrived: () => recovery.ring(),
      failed: () => recovery.doubt(),
    });
  }

  async #run(script: Script, args: readonly string[]): Promise<Reply> {
    const { link, keys, group } = this.#context;
    try {
      return await script.run(link, keyList(keys), [group, this.consumer, this.#life, ...args]);
    } catch (error) {
      throw groupError(error, keys.stream, group);
    }
  }

  get stream(): string {
    return this.#context.keys.stream;
  }

  async claim({ limit, signal, newFirst = false }: ClaimOptions): Promise<Claim> {
    try {
      for (let first = newFirst; !signal.aborted && !this.#leaving; first = false) {
        const looking = first ? this.#readNew(limit) : this.#look(limit);
        const claim = await looking.catch((error) => this.#healed(error));
        if (this.#healing !== undefined) {
          const healed = this.#healing;
          this.#healing = undefined;
          return { ...found([]), disturbed: true, healed };
        }
        if (claim !== undefined) {
          this.#held.note(claim.records);
          return claim;
        }
        if (!first) await this.#recovery.wait(signal);
      }
      return found([]);
    } finally {
      this.#intake.pause();
    }
  }

  /** What the group has not read; undefined when it has read everything. */
  async #readNew(limit: number): Promise<Claim | undefined> {
    const kept = await this.#give(this.#intake.take(limit));
    if (kept !== undefined) return kept;
    const [batch, same] = await Promise.all([this.#intake.readAtOnce(limit), this.#recovery.ask()]);
    if (same) return await this.#give(batch);
    // A look has to tell first of which epoch it is.
    this.#intake.keep(batch);
    return undefined;
  }

  /** Hands out what was read, as far as it is still this consumer's; undefined when there is nothing. */
  async #give(batch: Batch | undefined): Promise<Claim | undefined> {
    if (batch === undefined || batch.records.length === 0) return undefined;
    if (batch.takings === this.#recovery.takings) return found(this.#recovery.fresh(batch.records));
    // Something was taken since, perhaps this: it may be another's by now, or dropped by a rewind and read again.
    return await this.#recovery.adopt(batch.records.map(({ position }) => position));
  }

  /** One look at each source in turn; undefined when there is nothing, and a read under way that will ring. */
  async #look(limit: number): Promise<Claim | undefined> {
    // After it has left, a script would enrol this consumer again.
    while (!this.#leaving) {
      const due = this.#recovery.due || this.#intake.mayHaveMore && this.#recovery.stale;
      const came = due ? await this.#cameBack(limit) : undefined;
      if (came !== undefined) return came;
      if (this.#intake.unconfirmed) {
        // A rewind serves whoever waits before it can be told: what was read then is no longer of the epoch before.
        this.#intake.confirm();
        await this.#recovery.ask();
        if (this.#recovery.due) continue;
      }
      const kept = await this.#give(this.#intake.take(limit));
      if (kept !== undefined) return kept;
      if (this.#intake.mayHaveMore) {
        // In the flow of a backlog one round trip is enough: what comes back meanwhile waits for one batch.
        if (!this.#intake.flowing) await this.#recovery.ask();
        const claim = this.#recovery.due ? undefined : await this.#readNew(limit);
        if (claim !== undefined) return claim;
      }
      if (this.#intake.waiting) return undefined;
      await this.#recovery.ask();
      if (this.#recovery.due || this.#intake.unconfirmed) continue;
      this.#intake.wait(limit);
      return undefined;
    }
    return undefined;
  }

  async #cameBack(limit: number): Promise<Claim | undefined> {
    const claim = await this.#recovery.look(limit);
    // Of deliveries that came back there may be more than this look took. New entries come after all of them.
    if (claim === undefined || claim.records.length > 0 || claim.missing.length > 0) return claim;
    const reading = async () =>
      await this.#give(this.#intake.take(limit)) ?? await this.#give(await this.#intake.readAtOnce(limit));
    // A failure must not hide the rewind or the gap from the caller. The next look meets the failure again.
    const given = await reading().catch(() => undefined);
    return { ...claim, records: given?.records ?? [], missing: given?.missing ?? [] };
  }

  /** Keeps what a read brought that had ended. */
  spill(records: readonly StoredRecord[]): void {
    this.#intake.spill(records);
  }

  /** Makes the group again if that is what an error means; any other error is thrown on. */
  async #healed(error: unknown): Promise<undefined> {
    if (!isNoGroup(error)) throw error;
    const held = [...this.#held.positions(), ...this.#intake.kept].sort(comparePositions);
    const reply = await this.#run(HEAL, [held[0] ?? this.#intake.last ?? "", held.length > 0 ? "1" : "0"]);
    const [behind, mayRepeat] = reply as readonly [Position | "" | undefined, number?];
    if (behind !== undefined) {
      this.#healing = {
        from: behind === "" ? undefined : after(behind),
        mayRepeat: mayRepeat === 1 || held.length > 0,
      };
    }
    // What was read of the group that is gone will be read again.
    this.#intake.forget();
    this.#recovery.disturb();
  }

  async renew(
    held: readonly DeliveryRef[],
    { stalled }: { readonly stalled?: boolean } = {},
  ): Promise<readonly Position[]> {
    const flag = stalled === undefined ? "" : stalled ? "1" : "0";
    const current = held.filter(({ position, fence }) => this.#held.holds(position, fence));
    // Only what was claimed before something was taken needs a look, and mostly nothing ever was.
    const oldest = current.reduce(
      (least, { fence }) => Math.min(least, Number(parseFence(fence).takings)),
      this.#recovery.takings,
    );
    const args = current.flatMap(({ position, fence }) => [position, parseFence(fence).epoch, parseFence(fence).count]);
    try {
      const reply = await this.#run(RENEW, [`${this.#context.options.lease}`, flag, `${oldest}`, ...args]);
      const [takings, , lost] = reply as [number, number, readonly Position[]];
      this.#recovery.noteTakings(takings);
      for (const position of lost) this.#held.delete(position);
      return held.filter(({ position, fence }) => !this.#held.holds(position, fence)).map(({ position }) => position);
    } catch (error) {
      await this.#healed(error);
      return held.map(({ position }) => position);
    }
  }

  async settle(outcomes: readonly Outcome[]): Promise<readonly Position[]> {
    try {
      const refused = await this.#settle(this.#held.sort(outcomes));
      if (refused !== undefined) return refused;
      // Something was taken from this consumer since: each one has to show its fence.
      return await this.#settle({ takings: "0", plain: [], others: outcomes }) ?? [];
    } catch (error) {
      // Of a group that is gone nothing is this member's any more.
      if (!isDeleted(error)) await this.#healed(error);
      return outcomes.map(({ position }) => position);
    }
  }

  async #settle(settlement: Settlement): Promise<readonly Position[] | undefined> {
    const { takings, plain, others } = settlement;
    const args = [takings, `${plain.length}`, ...plain, ...others.flatMap(outcomeArgs)];
    const reply = await this.#run(SETTLE, args);
    const [done, refused, sleepers, before, bell] = reply as readonly [
      number,
      readonly Position[],
      Reply,
      string,
      string,
    ];
    if (done === 0) return undefined;
    this.#context.waker.wake(sleepers);
    this.#held.settled(settlement, refused);
    this.#recovery.settled(others, before, bell);
    return refused;
  }

  async leave(): Promise<boolean> {
    this.#leaving = true;
    this.#recovery.ring();
    const { waker, left } = this.#context;
    // A read that ends later would make the server enrol the consumer again, and give it entries.
    await this.#intake.close();
    try {
      for (let gone = 0; gone === 0;) {
        const reply = await this.#run(LEAVE, [`${LEAVE_AT_ONCE}`]) as readonly [number, Reply];
        gone = reply[0];
        waker.wake(reply[1]);
      }
      // The connection may be closed right after this, and nobody else knows what was handed back.
      await waker.told();
    } catch (error) {
      // With the group went all that it held.
      if (!isDeleted(error)) throw error;
    } finally {
      left();
    }
    return true;
  }
}

function isDeleted(error: unknown): boolean {
  return error instanceof StoreError && error.kind === "group-deleted";
}

function found(records: readonly ClaimedRecord[]): Claim {
  return { records, missing: [], disturbed: false };
}
