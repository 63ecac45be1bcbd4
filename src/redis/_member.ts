import {
  type Claim,
  type ClaimedRecord,
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
import { type GroupKeys, keyList } from "./_keys.ts";
import type { Link } from "./_link.ts";
import { adoptOrphans, UNDER_WAY } from "./_orphans.ts";
import { after, parseEntries } from "./_replies.ts";
import type { Script } from "./_script.ts";
import { ANNOUNCE } from "./scripts/announce.ts";
import { CLAIM } from "./scripts/claim.ts";
import { HEAL } from "./scripts/heal.ts";
import { LEAVE } from "./scripts/leave.ts";
import { RENEW } from "./scripts/renew.ts";
import { SETTLE } from "./scripts/settle.ts";

// A consumer that is not ours has no lease: it counts as dead after so long without a sign of life.
const FOREIGN_IDLE = 30_000;
// However long leases are: a consumer that was not told looks so often for what came back.
const LONGEST_SWEEP = 3_000;
const LEAVE_AT_ONCE = 1_000;
// A read without an answer may still be carried out for as long as it would have blocked.
const DOUBT = 10_000;

/** What a member needs of its store. */
export interface MemberContext {
  readonly link: Link;
  readonly keys: GroupKeys;
  readonly group: string;
  readonly consumer: string;
  readonly options: MemberOptions;
  readonly reader: BlockingReader;
  /** Ends the blocked reads of these connections: something came back that no read tells of. */
  wake(connections: Reply): void;
  left(): void;
}

/** A delivery that is held, and whether an ack is all that it takes to settle it. */
interface Possession {
  readonly fence: string;
  plain: boolean;
}

/** One consumer in a group of a Redis stream. */
export class RedisMember implements GroupMember {
  readonly consumer: string;
  #context: MemberContext;
  #life: string;
  #takings: number;
  #epoch: number;
  /** What was read and not claimed yet. */
  #read: StoredRecord[] = [];
  /** The read under way, for as long as a claim waits. */
  #reading: AbortController | undefined;
  #readError: unknown;
  /** The last position that was read: where the group goes on, should the store lose both it and its checkpoint. */
  #lastRead: Position | undefined;
  #healing: Healed | undefined;
  /** When to look again for what came back, by `performance.now()`. */
  #nextSweep = 0;
  /** Whether there may be more, so that a read need not wait; to begin with there may. */
  #lastReadFull = true;
  /** Every delivery that whoever claims knows of. */
  #held = new Map<Position, Possession>();
  /** Until when, by `performance.now()`, a read that got no answer may have brought what nobody knows of. */
  #doubtUntil = 0;
  #announced: string | undefined;
  #bell = new Bell();
  #left = new AbortController();

  /** @param life Which group of this name it joined: one that is deleted and made anew is another. */
  constructor(context: MemberContext, takings: number, epoch: number, life: string) {
    this.#context = context;
    this.#life = life;
    this.consumer = context.consumer;
    this.#takings = takings;
    this.#epoch = epoch;
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

  get #lease(): string {
    return String(this.#context.options.lease);
  }

  async claim({ limit, signal }: { readonly limit: number; readonly signal: AbortSignal }): Promise<Claim> {
    const ended = AbortSignal.any([signal, this.#left.signal]);
    // What came back since the last claim goes before what is new.
    this.#nextSweep = 0;
    try {
      while (!ended.aborted) {
        const claim = await this.#look(limit).catch((error) => this.#healed(error));
        if (this.#healing !== undefined) {
          const healed = this.#healing;
          this.#healing = undefined;
          return { ...found([]), disturbed: true, healed };
        }
        if (claim !== undefined) {
          for (const { position, fence } of claim.records) {
            this.#held.set(position, { fence, plain: parseFence(fence).plain });
          }
          return claim;
        }
        await this.#bell.wait(ended, this.#nextSweep - performance.now());
      }
      return found([]);
    } finally {
      // Nothing is taken that nobody asked for; what comes in this moment is kept for the next claim.
      this.#reading?.abort();
    }
  }

  /** One look at each source in turn; undefined when there is nothing, and a read under way that will ring. */
  async #look(limit: number): Promise<Claim | undefined> {
    if (this.#read.length > 0) return found(this.#fresh(this.#read.splice(0, limit)));
    if (performance.now() >= this.#nextSweep) {
      const claim = await this.#orphans(limit) ?? await this.#sweep(limit);
      if (claim !== undefined && claim.records.length === 0 && claim.disturbed) {
        const ready = this.#read.length > 0 ? this.#read.splice(0, limit) : await this.#readAtOnce(limit);
        return { ...claim, records: this.#fresh(ready) };
      }
      if (claim !== undefined) return claim;
    }
    if (this.#readError !== undefined) {
      const error = this.#readError;
      this.#readError = undefined;
      throw error;
    }
    if (this.#lastReadFull && this.#reading === undefined) {
      const records = await this.#readAtOnce(limit);
      if (records.length > 0) return found(this.#fresh(records));
    }
    if (this.#reading === undefined) void this.#readOn(limit);
    return undefined;
  }

  /** What belongs to this consumer without its knowing; looked for as long as there is doubt. */
  async #orphans(limit: number): Promise<Claim | undefined> {
    if (performance.now() > this.#doubtUntil) return undefined;
    const isKnown = (position: Position) =>
      this.#held.has(position) || this.#read.some((record) => record.position === position);
    const orphans = await adoptOrphans(this.#context, limit, isKnown);
    const records = orphans.map(({ position, fields, count }): ClaimedRecord => {
      const fence = fenceText(this.#takings, this.#epoch, count, true);
      return { position, fields, attempt: 1, recovered: 0, fence };
    });
    return records.length > 0 ? found(records) : undefined;
  }

  /** What came back to the group; undefined when nothing did. */
  async #sweep(limit: number): Promise<Claim | undefined> {
    const reply = await this.#run(CLAIM, [this.#lease, String(limit), String(FOREIGN_IDLE)]) as readonly Reply[];
    const [takings, epoch, nextDue, nextEnd, missing, taken] = reply as [
      number,
      number,
      number,
      number,
      readonly Position[],
      readonly (readonly [Position, number, number, number, readonly string[], number])[],
    ];
    const disturbed = epoch !== this.#epoch;
    this.#takings = takings;
    this.#epoch = epoch;
    // What was read since the rewind, by the epoch before it, will be refused, and has to come again.
    if (disturbed) this.#doubt();
    const nothing = taken.length === 0 && missing.length === 0 && !disturbed;
    const next = Math.min(
      Math.min(this.#context.options.lease / 4, LONGEST_SWEEP),
      nextDue < 0 ? Infinity : nextDue,
      nextEnd < 0 ? Infinity : nextEnd + 1,
      performance.now() < this.#doubtUntil ? UNDER_WAY : Infinity,
    );
    this.#nextSweep = nothing ? performance.now() + Math.max(1, next) : 0;
    if (nothing) return undefined;
    const records = taken
      .toSorted(([a], [b]) => comparePositions(a, b))
      .map(([position, count, failures, recovered, fields, kept]): ClaimedRecord => ({
        position,
        fields,
        attempt: failures + 1,
        recovered,
        fence: fenceText(takings, epoch, count, kept === 0),
      }));
    return { records, missing, disturbed };
  }

  async #readAtOnce(limit: number): Promise<readonly StoredRecord[]> {
    const { keys: { stream }, link, group } = this.#context;
    try {
      const reply = await link.send(
        ["XREADGROUP", "GROUP", group, this.consumer, "COUNT", String(limit), "STREAMS", stream, ">"],
      );
      const records = Array.isArray(reply) ? parseEntries((reply[0] as readonly Reply[])[1]!) : [];
      this.#lastReadFull = records.length === limit;
      return records;
    } catch (error) {
      this.#doubt();
      throw error;
    }
  }

  /** Waits for new entries; what comes is kept for the claim. */
  async #readOn(limit: number): Promise<void> {
    const { keys: { stream }, reader } = this.#context;
    const reading = this.#reading = new AbortController();
    try {
      const connection = await reader.connect();
      if (connection !== this.#announced) {
        await this.#run(ANNOUNCE, [connection]);
        this.#announced = connection;
      }
      const records = await reader.wait({ stream, after: ">", limit, woken: () => this.disturb() }, reading.signal);
      if (!reading.signal.aborted) this.#lastReadFull = records.length === limit;
      this.#read.push(...records);
    } catch (error) {
      this.#readError = error;
      this.#doubt();
    } finally {
      if (this.#reading === reading) this.#reading = undefined;
      this.#bell.ring();
    }
  }

  #doubt(): void {
    this.#doubtUntil = performance.now() + DOUBT;
    this.#nextSweep = 0;
  }

  #fresh(records: readonly StoredRecord[]): ClaimedRecord[] {
    this.#lastRead = records.at(-1)?.position ?? this.#lastRead;
    const fence = fenceText(this.#takings, this.#epoch, 1, true);
    return records.map(({ position, fields }) => ({ position, fields, attempt: 1, recovered: 0, fence }));
  }

  /** Keeps what a read brought that had ended. */
  spill(records: readonly StoredRecord[]): void {
    this.#read.push(...records);
    this.#bell.ring();
  }

  /** Looks again at once: something came back. */
  disturb(): void {
    this.#nextSweep = 0;
    this.#bell.ring();
  }

  /** Makes the group again if that is what an error means; any other error is thrown on. */
  async #healed(error: unknown): Promise<undefined> {
    if (!isNoGroup(error)) throw error;
    const held = [...this.#held.keys(), ...this.#read.map(({ position }) => position)].sort(comparePositions);
    const reply = await this.#run(HEAL, [held[0] ?? this.#lastRead ?? "", held.length > 0 ? "1" : "0"]);
    const [behind, mayRepeat] = reply as readonly [Position | "" | undefined, number?];
    if (behind !== undefined) {
      this.#healing = {
        from: behind === "" ? undefined : after(behind),
        mayRepeat: mayRepeat === 1 || held.length > 0,
      };
    }
    // What was read of the group that is gone will be read again.
    this.#read = [];
    this.#readError = undefined;
    this.#nextSweep = 0;
  }

  /** What is held at this position, unless that is another delivery than the fence's. */
  #holds(position: Position, fence: string): Possession | undefined {
    const held = this.#held.get(position);
    return held?.fence === fence ? held : undefined;
  }

  async renew(held: readonly Held[], { stalled }: { readonly stalled?: boolean } = {}): Promise<readonly Position[]> {
    const flag = stalled === undefined ? "" : stalled ? "1" : "0";
    const current = held.filter(({ position, fence }) => this.#holds(position, fence));
    // Only what was claimed before something was taken needs a look, and mostly nothing ever was.
    const oldest = current.reduce(
      (least, { fence }) => Math.min(least, Number(parseFence(fence).takings)),
      this.#takings,
    );
    const args = current.flatMap(({ position, fence }) => [position, parseFence(fence).epoch, parseFence(fence).count]);
    try {
      const reply = await this.#run(RENEW, [this.#lease, flag, String(oldest), ...args]);
      const [takings, , lost] = reply as [number, number, readonly Position[]];
      this.#takings = takings;
      for (const position of lost) this.#held.delete(position);
      return held.filter(({ position, fence }) => !this.#holds(position, fence)).map(({ position }) => position);
    } catch (error) {
      await this.#healed(error);
      return held.map(({ position }) => position);
    }
  }

  async settle(outcomes: readonly Outcome[]): Promise<readonly Position[]> {
    const plain: string[] = [];
    let takings: string | undefined;
    const others: Outcome[] = [];
    for (const outcome of outcomes) {
      const { position, fence } = outcome;
      const seen = parseFence(fence).takings;
      const held = this.#holds(position, fence);
      // From now on the group keeps a line on it, also while nobody knows yet that it does.
      if (held && staysHeld(outcome)) held.plain = false;
      if (outcome.kind === "ack" && held?.plain && (takings === undefined || takings === seen)) {
        takings = seen;
        plain.push(outcome.position);
      } else others.push(outcome);
    }
    try {
      const reply = await this.#settle(takings ?? "0", plain, others);
      if (reply !== undefined) return reply;
      // Something was taken from this consumer since: each one has to show its fence.
      return await this.#settle("0", [], outcomes) ?? [];
    } catch (error) {
      // Of a group that is gone nothing is this member's any more.
      if (!isDeleted(error)) await this.#healed(error);
      return outcomes.map(({ position }) => position);
    }
  }

  async #settle(
    takings: string,
    plain: readonly string[],
    others: readonly Outcome[],
  ): Promise<readonly Position[] | undefined> {
    const args = [takings, String(plain.length), ...plain, ...others.flatMap(outcomeArgs)];
    const [done, refused, sleepers] = await this.#run(SETTLE, args) as readonly [number, readonly Position[], Reply];
    if (done === 0) return undefined;
    this.#context.wake(sleepers);
    for (const position of plain) this.#held.delete(position as Position);
    for (const outcome of others) {
      const { position, fence } = outcome;
      const gone = !staysHeld(outcome) || refused.includes(position);
      // A late outcome says nothing of the delivery that came after its own.
      if (gone && this.#holds(position, fence)) this.#held.delete(position);
    }
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
    this.#left.abort();
    try {
      for (let gone = 0; gone === 0;) {
        const reply = await this.#run(LEAVE, [String(LEAVE_AT_ONCE)]) as readonly [number, Reply];
        gone = reply[0];
        this.#context.wake(reply[1]);
      }
    } catch (error) {
      // With the group went all that it held.
      if (!isDeleted(error)) throw error;
    } finally {
      this.#context.left();
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
