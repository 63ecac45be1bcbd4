import {
  type Claim,
  type ClaimedRecord,
  type ClaimOptions,
  comparePositions,
  type GroupMember,
  type Healed,
  type Held,
  type MemberOptions,
  type Outcome,
  type Position,
  type StoredRecord,
  StoreError,
} from "../store/mod.ts";
import { Bell } from "../store/_bell.ts";
import type { BlockingReader } from "./_blocking_reader.ts";
import type { Reply } from "./client.ts";
import { isNoGroup } from "./_errors.ts";
import { fenceText, outcomeArgs, parseFence, staysHeld } from "./_fence.ts";
import { groupError } from "./_group_error.ts";
import { type Batch, Intake } from "./_intake.ts";
import { type GroupKeys, keyList } from "./_keys.ts";
import type { Link } from "./_link.ts";
import { findOrphans, UNDER_WAY } from "./_orphans.ts";
import { Possessions, type Settlement } from "./_possessions.ts";
import { after } from "./_replies.ts";
import type { Script } from "./_script.ts";
import { ADOPT } from "./scripts/adopt.ts";
import { ANNOUNCE } from "./scripts/announce.ts";
import { CLAIM } from "./scripts/claim.ts";
import { HEAL } from "./scripts/heal.ts";
import { LEAVE } from "./scripts/leave.ts";
import { RENEW } from "./scripts/renew.ts";
import { SETTLE } from "./scripts/settle.ts";
import type { Waker } from "./_waker.ts";

// A consumer that is not ours has no lease: it counts as dead after so long without a sign of life.
const FOREIGN_IDLE = 30_000;
const LEAVE_AT_ONCE = 1_000;
// A read without an answer may still be carried out for as long as it would have blocked, once the server answers again.
const DOUBT = 10_000;

/** What a member needs of its store. */
export interface MemberContext {
  readonly link: Link;
  readonly keys: GroupKeys;
  readonly group: string;
  readonly consumer: string;
  readonly options: MemberOptions;
  readonly reader: BlockingReader;
  readonly waker: Waker;
  left(): void;
}

/** A delivery as the scripts hand it: id, delivery count, failures, recoveries, fields, and 1 if no plain ack settles it. */
type Taken = readonly [Position, number, number, number, readonly string[], number];

/** What a group told of itself when it was joined. */
export interface Joined {
  readonly takings: number;
  readonly epoch: number;
  /** Which group of this name it is: one that is deleted and made anew is another. */
  readonly life: string;
}

/**
 * One consumer in a group of a Redis stream.
 *
 * New entries are read, and a script looks for what came back to the group. It need not look before each read: whatever
 * comes back is told by the group's bell, which is asked for along with each read, or known to be due at some time.
 */
export class RedisMember implements GroupMember {
  readonly consumer: string;
  #context: MemberContext;
  #intake: Intake;
  #held = new Possessions();
  #life: string;
  #takings: number;
  #epoch: number;
  /** The group's bell at the last look. */
  #lastBell: string | undefined;
  #healing: Healed | undefined;
  /** When to look again for what came back, by `performance.now()`. */
  #nextSweep = 0;
  /** Until when, by `performance.now()`, a read that got no answer may have brought what nobody knows of. */
  #doubtUntil = 0;
  #bell = new Bell();
  #leaving = false;

  constructor(context: MemberContext, { takings, epoch, life }: Joined) {
    const { link, keys: { stream }, group, consumer, reader } = context;
    this.#context = context;
    this.consumer = consumer;
    this.#life = life;
    this.#takings = takings;
    this.#epoch = epoch;
    this.#intake = new Intake({
      link,
      stream,
      group,
      consumer,
      reader,
      takings: () => this.#takings,
      announce: (connection) => this.#run(ANNOUNCE, [connection]),
      // What came back until now could not end the read, and what comes back from now on does.
      blocked: () => void this.#ask(),
      woken: () => this.#disturb(),
      arrived: () => this.#bell.ring(),
      failed: () => this.#doubt(),
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
        if (!first) await this.#bell.wait(signal, this.#nextSweep - performance.now());
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
    const [batch, same] = await Promise.all([this.#intake.readAtOnce(limit), this.#ask()]);
    if (same) return await this.#give(batch);
    // A look has to tell first of which epoch it is.
    this.#intake.keep(batch);
    return undefined;
  }

  /** Hands out what was read, as far as it is still this consumer's; undefined when there is nothing. */
  async #give(batch: Batch | undefined): Promise<Claim | undefined> {
    if (batch === undefined || batch.records.length === 0) return undefined;
    if (batch.takings === this.#takings) return found(this.#fresh(batch.records));
    // Something was taken since, perhaps this: it may be another's by now, or dropped by a rewind and read again.
    return await this.#adopt(batch.records.map(({ position }) => position));
  }

  /** One look at each source in turn; undefined when there is nothing, and a read under way that will ring. */
  async #look(limit: number): Promise<Claim | undefined> {
    while (true) {
      const came = this.#due ? await this.#cameBack(limit) : undefined;
      if (came !== undefined) return came;
      if (this.#intake.unconfirmed) {
        // A rewind serves whoever waits before it can be told: what was read then is no longer of the epoch before.
        this.#intake.confirm();
        await this.#ask();
        if (this.#due) continue;
      }
      const kept = await this.#give(this.#intake.take(limit));
      if (kept !== undefined) return kept;
      if (this.#intake.mayHaveMore) {
        // In the flow of a backlog one round trip is enough: what comes back meanwhile waits for one batch.
        if (!this.#intake.flowing) await this.#ask();
        const claim = this.#due ? undefined : await this.#readNew(limit);
        if (claim !== undefined) return claim;
      }
      if (this.#intake.waiting) return undefined;
      await this.#ask();
      if (this.#due || this.#intake.unconfirmed) continue;
      this.#intake.wait(limit);
      return undefined;
    }
  }

  /** Whether it is time to look for what came back. */
  get #due(): boolean {
    return performance.now() >= this.#nextSweep;
  }

  /**
   * Looks again at once if something came back since the last look.
   *
   * @returns Whether it is the same group and epoch, so that what was read before is what it seems.
   */
  async #ask(): Promise<boolean> {
    const { link, keys: { meta } } = this.#context;
    try {
      const reply = await link.send(["HMGET", meta, "bell", "life", "epoch"]) as readonly (string | null)[];
      const same = reply[1] === this.#life && Number(reply[2]) === this.#epoch;
      if (!same || (reply[0] ?? "") !== this.#lastBell) this.#disturb();
      return same;
    } catch {
      // Looking meets with the same, and says so.
      this.#disturb();
      return false;
    }
  }

  #disturb(): void {
    this.#nextSweep = 0;
    this.#bell.ring();
  }

  #doubt(): void {
    this.#doubtUntil = Infinity;
    this.#nextSweep = 0;
  }

  async #cameBack(limit: number): Promise<Claim | undefined> {
    const claim = await this.#orphans(limit) ?? await this.#sweep(limit);
    if (claim === undefined || claim.records.length > 0 || !claim.disturbed) return claim;
    const reading = async () =>
      await this.#give(this.#intake.take(limit)) ?? await this.#give(await this.#intake.readAtOnce(limit));
    // Whatever becomes of the reading, the rewind has to be told: the next look meets with the same, and says so.
    const given = await reading().catch(() => undefined);
    return { ...claim, records: given?.records ?? [], missing: [...claim.missing, ...given?.missing ?? []] };
  }

  /** What belongs to this consumer without its knowing; looked for as long as there is doubt. */
  async #orphans(limit: number): Promise<Claim | undefined> {
    if (performance.now() > this.#doubtUntil) return undefined;
    const kept = new Set(this.#intake.kept);
    const isKnown = (position: Position) => this.#held.has(position) || kept.has(position);
    const orphans = await findOrphans(this.#context, limit, isKnown).catch((error) => {
      this.#doubt();
      throw error;
    });
    this.#doubtUntil = Math.min(this.#doubtUntil, performance.now() + DOUBT);
    return orphans.length === 0 ? undefined : await this.#adopt(orphans);
  }

  /** Those of these that are this consumer's; undefined when none is. */
  async #adopt(positions: readonly Position[]): Promise<Claim | undefined> {
    // As before the script looks: what is taken after that is to be seen.
    const takings = this.#takings;
    const reply = await this.#take(ADOPT, positions);
    const [taken, missing] = reply as readonly [readonly Taken[], readonly Position[]];
    if (taken.length === 0 && missing.length === 0) return undefined;
    return { records: this.#claimed(taken, takings), missing, disturbed: false };
  }

  /** Runs a script that takes: if its answer is lost, what it took is to be found. */
  async #take(script: Script, args: readonly string[]): Promise<Reply> {
    try {
      return await this.#run(script, args);
    } catch (error) {
      // Whether or not it was done, nobody knows of what it was about.
      this.#doubt();
      throw error;
    }
  }

  /** What came back to the group; undefined when nothing did. */
  async #sweep(limit: number): Promise<Claim | undefined> {
    const { lease } = this.#context.options;
    const reply = await this.#take(CLAIM, [`${lease}`, `${limit}`, `${FOREIGN_IDLE}`]) as readonly Reply[];
    const [takings, epoch, nextDue, nextEnd, missing, taken, bell] = reply as [
      number,
      number,
      number,
      number,
      readonly Position[],
      readonly Taken[],
      string,
    ];
    const disturbed = epoch !== this.#epoch;
    // A consumer that was given up, and is alive all the same, has to say anew by which connection it waits.
    if (takings !== this.#takings) this.#intake.announceAgain();
    this.#takings = takings;
    this.#epoch = epoch;
    this.#lastBell = bell;
    // What was read since the rewind, by the epoch before it, will be refused, and has to come again.
    if (disturbed) this.#doubt();
    const nothing = taken.length === 0 && missing.length === 0 && !disturbed;
    const next = Math.min(
      lease / 4,
      nextDue < 0 ? Infinity : nextDue,
      nextEnd < 0 ? Infinity : nextEnd + 1,
      performance.now() < this.#doubtUntil ? UNDER_WAY : Infinity,
    );
    this.#nextSweep = nothing ? performance.now() + Math.max(1, next) : 0;
    if (nothing) return undefined;
    return { records: this.#claimed(taken, takings), missing, disturbed };
  }

  #claimed(taken: readonly Taken[], takings: number): ClaimedRecord[] {
    return taken
      .toSorted(([a], [b]) => comparePositions(a, b))
      .map(([position, count, failures, recovered, fields, kept]) => ({
        position,
        fields,
        attempt: failures + 1,
        recovered,
        fence: fenceText(takings, this.#epoch, count, kept === 0),
      }));
  }

  #fresh(records: readonly StoredRecord[]): ClaimedRecord[] {
    const fence = fenceText(this.#takings, this.#epoch, 1, true);
    return records.map(({ position, fields }) => ({ position, fields, attempt: 1, recovered: 0, fence }));
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
    this.#nextSweep = 0;
  }

  async renew(held: readonly Held[], { stalled }: { readonly stalled?: boolean } = {}): Promise<readonly Position[]> {
    const flag = stalled === undefined ? "" : stalled ? "1" : "0";
    const current = held.filter(({ position, fence }) => this.#held.holds(position, fence));
    // Only what was claimed before something was taken needs a look, and mostly nothing ever was.
    const oldest = current.reduce(
      (least, { fence }) => Math.min(least, Number(parseFence(fence).takings)),
      this.#takings,
    );
    const args = current.flatMap(({ position, fence }) => [position, parseFence(fence).epoch, parseFence(fence).count]);
    try {
      const reply = await this.#run(RENEW, [`${this.#context.options.lease}`, flag, `${oldest}`, ...args]);
      const [takings, , lost] = reply as [number, number, readonly Position[]];
      this.#takings = takings;
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
    // What this consumer parked itself, it knows of.
    if (before === this.#lastBell) this.#lastBell = bell;
    this.#held.settled(settlement, refused);
    this.#plan(others);
    return refused;
  }

  // What this consumer parked, it knows to look for in time.
  #plan(outcomes: readonly Outcome[]): void {
    let next = this.#nextSweep;
    for (const outcome of outcomes) {
      if (staysHeld(outcome) || outcome.kind !== "retry" && outcome.kind !== "release") continue;
      next = Math.min(next, performance.now() + (outcome.delay ?? 0));
    }
    if (next >= this.#nextSweep) return;
    this.#nextSweep = next;
    this.#bell.ring();
  }

  async leave(): Promise<boolean> {
    this.#leaving = true;
    this.#bell.ring();
    const { waker, left } = this.#context;
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
