import {
  type Claim,
  type ClaimedRecord,
  comparePositions,
  type Outcome,
  type Position,
  type RemovedRange,
  type StoredRecord,
} from "../../store/mod.ts";
import { Bell } from "../../store/_bell.ts";
import type { Reach } from "../../store/_reach.ts";
import type { Reply } from "../connection/client.ts";
import { fenceText, staysHeld } from "./_fence.ts";
import type { GroupKeys } from "../_keys.ts";
import { findOrphans, UNDER_WAY } from "./_orphans.ts";
import type { Script } from "../scripts/_script.ts";
import type { Route } from "../connection/_topology.ts";
import { ADOPT } from "../scripts/adopt.ts";
import { CLAIM } from "../scripts/claim.ts";

// A consumer that is not ours has no lease: it counts as dead after so long without a sign of life.
const FOREIGN_IDLE = 30_000;
// A read without an answer may still be carried out for as long as it would have blocked, once the server answers again.
const DOUBT = 10_000;
// A look finds removed entries only before the group has read on behind them: at least so often, in ms, a backlog is read
// only after one.
const STALE = 250;

/**
 * A delivery as the scripts hand it: id, delivery count, failures, recoveries, fields, 1 if no plain ack settles it, then 1
 * if it was deferred and nobody came who knows it.
 */
type Taken = readonly [Position, number, number, number, readonly string[], number, number?];

/** What a group told of itself when it was joined. */
export interface Joined {
  readonly takings: number;
  readonly epoch: number;
  /** Which group of this name it is: one that is deleted and made anew is another. */
  readonly life: string;
}

/** What a recovery needs of its member. */
export interface RecoveryContext {
  readonly link: Route;
  readonly keys: GroupKeys;
  readonly group: string;
  readonly consumer: string;
  readonly lease: number;
  readonly reach: Reach;
  run(script: Script, args: readonly string[]): Promise<Reply>;
  /** Tells by its position what this consumer knows to be its own. */
  known(): (position: Position) => boolean;
  /** Something was taken from this consumer, which may not be known any more by how it waits. */
  robbed(): void;
}

/**
 * Finds for a consumer what came back to its group, and what is its own without its knowing.
 *
 * It need not look before each read: whatever comes back is told by the group's bell, a number that is asked for along
 * with each read, or is known to be due at some time.
 */
export class Recovery {
  #context: RecoveryContext;
  #life: string;
  #takings: number;
  #epoch: number;
  /** The group's bell at the last look. */
  #lastBell: string | undefined;
  /** When to look again, by `performance.now()`. */
  #next = 0;
  /** When the last look began, by `performance.now()`. */
  #lookedAt = -Infinity;
  /** Until when, by `performance.now()`, a read that got no answer may have brought what nobody knows of. */
  #doubtUntil = 0;
  #bell = new Bell();

  constructor(context: RecoveryContext, { takings, epoch, life }: Joined) {
    this.#context = context;
    this.#life = life;
    this.#takings = takings;
    this.#epoch = epoch;
  }

  /** How much has been taken from the consumer, as far as it knows. */
  get takings(): number {
    return this.#takings;
  }

  /** Takes note of how much has been taken. */
  noteTakings(takings: number): void {
    this.#takings = takings;
  }

  /** Whether it is time to look. */
  get due(): boolean {
    return performance.now() >= this.#next;
  }

  /** Whether it is so long since the last look that a backlog should not be read on without one. */
  get stale(): boolean {
    return performance.now() - this.#lookedAt >= STALE;
  }

  /** Has whoever waits look again now. */
  disturb(): void {
    this.#next = 0;
    this.#bell.ring();
  }

  /** There is something else to see for whoever waits. */
  ring(): void {
    this.#bell.ring();
  }

  /** Something may have been taken for this consumer without its knowing. */
  doubt(): void {
    this.#doubtUntil = Infinity;
    this.#next = 0;
  }

  /** Resolves when there is something to look at, or it is time to look. */
  async wait(signal: AbortSignal): Promise<void> {
    await this.#bell.wait(signal, this.#next - performance.now());
  }

  /**
   * Looks again at once if something came back since the last look.
   *
   * @returns Whether it is the same group and epoch, so that what was read before is what it seems.
   */
  async ask(): Promise<boolean> {
    const { link, keys: { meta } } = this.#context;
    try {
      const reply = await link.send(["HMGET", meta, "bell", "life", "epoch"]) as readonly (string | null)[];
      const same = reply[1] === this.#life && Number(reply[2]) === this.#epoch;
      if (!same || (reply[0] ?? "") !== this.#lastBell) this.disturb();
      return same;
    } catch {
      // Looking meets with the same, and says so.
      this.disturb();
      return false;
    }
  }

  /** Looks; undefined when there is nothing, and next time is then. */
  async look(limit: number): Promise<Claim | undefined> {
    return await this.#orphans(limit) ?? await this.#sweep(limit);
  }

  /** What belongs to this consumer without its knowing; looked for as long as there is doubt. */
  async #orphans(limit: number): Promise<Claim | undefined> {
    if (performance.now() > this.#doubtUntil) return undefined;
    const orphans = await this.#orDoubt(findOrphans(this.#context, limit, this.#context.known()));
    this.#doubtUntil = Math.min(this.#doubtUntil, performance.now() + DOUBT);
    return orphans.length === 0 ? undefined : await this.adopt(orphans);
  }

  /** Those of these that are this consumer's; undefined when none is. */
  async adopt(positions: readonly Position[]): Promise<Claim | undefined> {
    // As before the script looks: what is taken after that is to be seen.
    const takings = this.#takings;
    const reply = await this.#orDoubt(this.#context.run(ADOPT, positions));
    const [taken, missing] = reply as readonly [readonly Taken[], readonly Position[]];
    if (taken.length === 0 && missing.length === 0) return undefined;
    return { records: this.#claimed(taken, takings), missing, disturbed: false };
  }

  /** What came back to the group; undefined when nothing did. */
  async #sweep(limit: number): Promise<Claim | undefined> {
    const { lease, reach: { version, deferTimeout }, robbed, run } = this.#context;
    this.#lookedAt = performance.now();
    const patience = deferTimeout === Infinity ? "" : `${Math.round(deferTimeout)}`;
    const args = [`${lease}`, `${limit}`, `${FOREIGN_IDLE}`, `${version}`, patience];
    const reply = await this.#orDoubt(run(CLAIM, args));
    const [takings, epoch, nextDue, nextEnd, missing, taken, bell, gap] = reply as readonly [
      number,
      number,
      number,
      number,
      readonly Position[],
      readonly Taken[],
      string,
      string,
    ];
    const removed = parseGap(gap);
    const disturbed = epoch !== this.#epoch;
    if (takings !== this.#takings) robbed();
    this.#takings = takings;
    this.#epoch = epoch;
    this.#lastBell = bell;
    // What was read since the rewind, by the epoch before it, will be refused, and has to come again.
    if (disturbed) this.doubt();
    const nothing = taken.length === 0 && missing.length === 0 && !disturbed && removed === undefined;
    const next = Math.min(
      lease / 4,
      nextDue < 0 ? Infinity : nextDue,
      nextEnd < 0 ? Infinity : nextEnd + 1,
      performance.now() < this.#doubtUntil ? UNDER_WAY : Infinity,
    );
    this.#next = nothing ? performance.now() + Math.max(1, next) : 0;
    if (nothing) return undefined;
    return { records: this.#claimed(taken, takings), missing, disturbed, ...(removed && { removed }) };
  }

  /** If this is lost, so may be what was taken by it: whether or not it was done, nobody knows of what it was about. */
  async #orDoubt<T>(looking: Promise<T>): Promise<T> {
    try {
      return await looking;
    } catch (error) {
      this.doubt();
      throw error;
    }
  }

  #claimed(taken: readonly Taken[], takings: number): ClaimedRecord[] {
    return taken
      .toSorted(([a], [b]) => comparePositions(a, b))
      .map(([position, count, failures, recovered, fields, kept, expired]) => ({
        position,
        fields,
        attempt: failures + 1,
        recovered,
        ...(expired === 1 ? { expired: true } : {}),
        fence: fenceText(takings, this.#epoch, count, kept === 0),
      }));
  }

  /** New entries, as claimed by this consumer. */
  fresh(records: readonly StoredRecord[]): ClaimedRecord[] {
    const fence = fenceText(this.#takings, this.#epoch, 1, true);
    return records.map(({ position, fields }) => ({ position, fields, attempt: 1, recovered: 0, fence }));
  }

  /**
   * Takes note of what this consumer settled: what it parked itself it knows to look for in time.
   *
   * @param before The bell before that.
   * @param bell The bell after it.
   */
  settled(outcomes: readonly Outcome[], before: string, bell: string): void {
    if (before === this.#lastBell) this.#lastBell = bell;
    let next = this.#next;
    for (const outcome of outcomes) {
      const delay = this.#returnsAfter(outcome);
      if (delay < Infinity) next = Math.min(next, performance.now() + delay);
    }
    if (next >= this.#next) return;
    this.#next = next;
    this.#bell.ring();
  }

  /** In how many milliseconds a settled delivery may come back to this consumer. */
  #returnsAfter(outcome: Outcome): number {
    if (staysHeld(outcome)) return Infinity;
    if (outcome.kind === "defer") return this.#context.reach.deferTimeout;
    return outcome.kind === "retry" || outcome.kind === "release" ? outcome.delay ?? 0 : Infinity;
  }
}

/** Reads "from to count", where the count may be a dash; undefined for an empty text. */
function parseGap(text: string): RemovedRange | undefined {
  if (text === "") return undefined;
  const [from, to, count] = text.split(" ") as [Position, Position, string];
  return { from, to, count: count === "-" ? undefined : Number(count) };
}
