import {
  type Claim,
  type ClaimedRecord,
  comparePositions,
  type Healed,
  type Outcome,
  type Position,
  type RemovedRange,
  type StoredRecord,
} from "../../store/mod.ts";
import { WakeUp } from "../../store/_wake_up.ts";
import type { Reach } from "../../store/_reach.ts";
import type { Reply } from "../connection/client.ts";
import { fenceText, staysHeld } from "./_fence.ts";
import type { GroupKeys } from "../_keys.ts";
import { parseEntries } from "../connection/_replies.ts";
import { findOrphans, REPLY_TIME } from "./_orphans.ts";
import type { Script } from "../connection/_script.ts";
import type { Route } from "../connection/_topology.ts";
import { ADOPT } from "../scripts/consuming/adopt.ts";
import { CLAIM, CLAIM_HOLDING } from "../scripts/consuming/claim.ts";
import { CLAIM_EXCLUSIVE, CLAIM_EXCLUSIVE_HOLDING } from "../scripts/consuming/claim_exclusive.ts";

// A consumer of another program has no lease. It counts as dead after so much idle time, in milliseconds.
const FOREIGN_IDLE = 30_000;
// After a lost reply, and once the server replies again, a read may still take entries for as long as it would have
// blocked, in milliseconds.
const ORPHAN_TIME = 10_000;
// Some servers hide removed entries once the group has read on behind them. So a backlog is read only if the last look is
// not older than this, in milliseconds.
const STALE = 250;

/**
 * A delivery in the reply of CLAIM or ADOPT: position, delivery count, failures, recoveries, fields, 1 if XACK alone does
 * not settle it, 1 if it is expired, and in how many ms its retry is due.
 */
type Delivered = readonly [Position, number, number, number, readonly string[], number, number, number];

/** The reply of JOIN. */
export interface Joined {
  /** The consumer's generation. */
  readonly generation: number;
  /** The group's epoch. */
  readonly epoch: number;
  /** Identifies the group among all that ever had its name. */
  readonly life: string;
  /** Set if the group was lost and this call has made it again. */
  readonly healed: Healed | undefined;
}

/** The surroundings of a recovery. */
export interface RecoveryContext {
  readonly link: Route;
  readonly keys: GroupKeys;
  readonly group: string;
  readonly consumer: string;
  readonly lease: number;
  readonly reach: Reach;
  /** Whether a look also takes unread entries: those of an exclusive consumer must not overtake what returned. */
  readonly exclusive: boolean;
  /** Whether the group holds keys of dead letters. */
  readonly holding: boolean;
  run(script: Script, args: readonly string[]): Promise<Reply>;
  /** A predicate for the positions that this consumer knows to be its own. */
  known(): (position: Position) => boolean;
  /** Deliveries were taken from this consumer. The group may also have forgotten its connection. */
  generationChanged(): void;
}

/**
 * Looks for deliveries that returned to the group, and for orphans: deliveries that this consumer has without knowing.
 *
 * A look is a script. It is not needed before each read: the group has a number, its bell, which rises when deliveries
 * return, and a cheap command checks it. The reply of each look tells when the next delivery falls due.
 */
export class Recovery {
  #context: RecoveryContext;
  #life: string;
  #generation: number;
  #epoch: number;
  /** The group's bell at the last look. */
  #lastBell: string | undefined;
  /** When to look again, by `performance.now()`. */
  #next = 0;
  /** When the last look began, by `performance.now()`. */
  #lookedAt = -Infinity;
  /** Until when there may be orphans, by `performance.now()`. */
  #orphansUntil = 0;
  #wakeUp = new WakeUp();
  /** How many looks an exclusive consumer has begun. */
  #serial = 0;
  #tail = "0-0";
  /** Whether the group holds keys; true while this consumer does not know. */
  #holdsKeys: boolean;
  /** How often letters had ceased to hold a key when the store last told. */
  #freed = -1;

  constructor(context: RecoveryContext, { generation, epoch, life }: Joined) {
    this.#context = context;
    this.#life = life;
    this.#generation = generation;
    this.#epoch = epoch;
    this.#holdsKeys = context.holding;
  }

  /** The consumer's generation, as far as it knows. */
  get generation(): number {
    return this.#generation;
  }

  /** The last position of the stream, when an exclusive consumer found nothing. */
  get tail(): string {
    return this.#tail;
  }

  /** Notes the generation that another script has replied. */
  noteGeneration(generation: number): void {
    this.#generation = generation;
  }

  /**
   * How often letters had ceased to hold a key when the store last told; undefined if the group holds no key, as far as this
   * consumer knows. Other consumers ring the bell when they hold one.
   */
  get holding(): number | undefined {
    return this.#holdsKeys ? this.#freed : undefined;
  }

  /** Notes how often letters have ceased to hold a key. */
  noteFreed(freed: number): void {
    this.#freed = freed;
  }

  /** Notes the number of held keys that a script has replied. */
  noteHeldKeys(count: number): void {
    this.#holdsKeys = count > 0;
  }

  /** Whether it is time to look. */
  get due(): boolean {
    return performance.now() >= this.#next;
  }

  /** Whether the last look is too old to read a backlog without another one. */
  get stale(): boolean {
    return performance.now() - this.#lookedAt >= STALE;
  }

  /** Makes a look due now, and ends the wait. */
  lookNow(): void {
    this.#next = 0;
    this.#wakeUp.wake();
  }

  /** Ends the wait. */
  wake(): void {
    this.#wakeUp.wake();
  }

  /** A reply was lost, so there may be orphans: the next looks search for them. */
  expectOrphans(): void {
    this.#orphansUntil = Infinity;
    this.#next = 0;
    this.#holdsKeys = this.#context.holding;
  }

  /** Resolves when it is woken, when a look is due, or when `signal` aborts. */
  async wait(signal: AbortSignal): Promise<void> {
    await this.#wakeUp.wait(signal, this.#next - performance.now());
  }

  /**
   * Checks the group's state. Makes a look due if deliveries have returned since the last look.
   *
   * @returns Whether the group and its epoch are the same as at the last look. Only then new entries of a read that was
   * sent before may be claimed.
   */
  async check(): Promise<boolean> {
    const { link, keys: { meta } } = this.#context;
    try {
      const reply = await link.send(["HMGET", meta, "bell", "life", "epoch"]) as readonly (string | null)[];
      const same = reply[1] === this.#life && Number(reply[2]) === this.#epoch;
      if (!same || (reply[0] ?? "") !== this.#lastBell) this.lookNow();
      return same;
    } catch {
      // The look that is due now meets the same failure and reports it.
      this.lookNow();
      return false;
    }
  }

  /** Looks for orphans and returned deliveries; undefined if there are none. Plans the next look. */
  async look(limit: number): Promise<Claim | undefined> {
    return await this.#orphans(limit) ?? await this.#sweep(limit);
  }

  /** Claims orphans, as long as there may be some. */
  async #orphans(limit: number): Promise<Claim | undefined> {
    if (performance.now() > this.#orphansUntil) return undefined;
    const { exclusive, known } = this.#context;
    // From now on no earlier look takes anything, so all orphans are there.
    if (exclusive) await this.#runLook(0);
    const orphans = await this.#orExpectOrphans(findOrphans(this.#context, limit, known(), exclusive ? 0 : REPLY_TIME));
    if (!exclusive) this.#orphansUntil = Math.min(this.#orphansUntil, performance.now() + ORPHAN_TIME);
    else if (orphans.length === 0) this.#orphansUntil = 0;
    return orphans.length === 0 ? undefined : await this.adopt(orphans);
  }

  /** Claims those of these deliveries that belong to this consumer; undefined if none does. */
  async adopt(positions: readonly Position[]): Promise<Claim | undefined> {
    // The generation before the script runs: if deliveries are taken later, the fences must show that.
    const generation = this.#generation;
    const reply = await this.#orExpectOrphans(this.#context.run(ADOPT, positions));
    const [taken, missing] = reply as readonly [readonly Delivered[], readonly Position[]];
    if (taken.length === 0 && missing.length === 0) return undefined;
    return { records: this.#claimed(taken, generation), missing, disturbed: false };
  }

  /** Claims deliveries that returned to the group; undefined if there are none, and nothing else to report. */
  async #sweep(limit: number): Promise<Claim | undefined> {
    const { lease, exclusive, holding, generationChanged } = this.#context;
    this.#lookedAt = performance.now();
    const reply = await this.#runLook(limit);
    const [generation, epoch, nextDue, nextEnd, missing, taken, bell, gap, entries, tail] = reply as readonly [
      number,
      number,
      number,
      number,
      readonly Position[],
      readonly Delivered[],
      string,
      string,
      Reply?,
      string?,
    ];
    const fresh = entries === undefined ? [] : parseEntries(entries);
    if (tail) this.#tail = tail;
    const removed = parseGap(gap);
    const disturbed = epoch !== this.#epoch;
    if (generation !== this.#generation) generationChanged();
    this.#generation = generation;
    this.#epoch = epoch;
    this.#lastBell = bell;
    if (holding) {
      const [heldKeys, freed] = (reply as readonly number[]).slice(exclusive ? 10 : 8) as [number, number];
      this.noteHeldKeys(heldKeys);
      this.#freed = freed;
    }
    // Entries that were read since the rewind, with the epoch before it, are orphans now.
    if (disturbed) this.expectOrphans();
    const nothing = taken.length === 0 && fresh.length === 0 && missing.length === 0 && !disturbed &&
      removed === undefined;
    const next = Math.min(
      lease / 4,
      nextDue < 0 ? Infinity : nextDue,
      nextEnd < 0 ? Infinity : nextEnd + 1,
      performance.now() < this.#orphansUntil ? REPLY_TIME : Infinity,
    );
    this.#next = nothing ? performance.now() + Math.max(1, next) : 0;
    if (nothing) return undefined;
    const records = [...this.#claimed(taken, generation), ...this.claimedNew(fresh)];
    return { records, missing, disturbed, ...(removed && { removed }) };
  }

  async #runLook(limit: number): Promise<Reply> {
    const { lease, reach: { version, deferTimeout }, exclusive, holding, run } = this.#context;
    const patience = deferTimeout === Infinity ? "" : `${Math.round(deferTimeout)}`;
    const third = exclusive ? ++this.#serial : FOREIGN_IDLE;
    const args = [`${lease}`, `${limit}`, `${third}`, `${version}`, patience];
    const [plain, withHolds] = exclusive ? [CLAIM_EXCLUSIVE, CLAIM_EXCLUSIVE_HOLDING] : [CLAIM, CLAIM_HOLDING];
    return await this.#orExpectOrphans(run(holding ? withHolds : plain, args));
  }

  /** If the reply of a script is lost, entries may have been claimed without us knowing which. */
  async #orExpectOrphans<T>(running: Promise<T>): Promise<T> {
    try {
      return await running;
    } catch (error) {
      this.expectOrphans();
      throw error;
    }
  }

  #claimed(taken: readonly Delivered[], generation: number): ClaimedRecord[] {
    return taken
      .toSorted(([a], [b]) => comparePositions(a, b))
      .map(([position, count, failures, recovered, fields, kept, expired, dueIn]) => ({
        position,
        fields,
        attempt: failures + 1,
        recovered,
        ...(expired === 1 ? { expired: true } : {}),
        ...(dueIn > 0 ? { dueIn } : {}),
        fence: fenceText(generation, this.#epoch, count, kept === 0),
      }));
  }

  /** New entries as claimed records. */
  claimedNew(records: readonly StoredRecord[]): ClaimedRecord[] {
    const fence = fenceText(this.#generation, this.#epoch, 1, true);
    return records.map(({ position, fields }) => ({ position, fields, attempt: 1, recovered: 0, fence }));
  }

  /**
   * Plans a look for the deliveries that this consumer has returned to the group itself.
   *
   * @param before The group's bell before SETTLE.
   * @param bell The group's bell after SETTLE.
   */
  settled(outcomes: readonly Outcome[], before: string, bell: string): void {
    // A defer of a removed entry has returned the delivery to the group, which only the bell tells.
    const deferred = outcomes.some(({ kind }) => kind === "defer");
    if (before === this.#lastBell && !deferred) this.#lastBell = bell;
    let next = this.#next;
    for (const outcome of outcomes) {
      const delay = this.#returnsAfter(outcome);
      if (delay < Infinity) next = Math.min(next, performance.now() + delay);
    }
    if (next >= this.#next) return;
    this.#next = next;
    this.#wakeUp.wake();
  }

  /** In how many milliseconds a settled delivery may come back to this consumer. */
  #returnsAfter(outcome: Outcome): number {
    if (staysHeld(outcome)) return Infinity;
    if (outcome.kind === "defer") return this.#context.reach.deferTimeout;
    if (outcome.kind === "wait") return this.#context.holding ? Infinity : 0;
    return outcome.kind === "retry" || outcome.kind === "release" ? outcome.delay ?? 0 : Infinity;
  }
}

/** Reads "from to count", where the count may be a dash; undefined for an empty text. */
function parseGap(text: string): RemovedRange | undefined {
  if (text === "") return undefined;
  const [from, to, count] = text.split(" ") as [Position, Position, string];
  return { from, to, count: count === "-" ? undefined : Number(count) };
}
