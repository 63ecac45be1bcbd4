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
// How many orphans one script gives back to the group.
const RETURN_AT_ONCE = 1_000;

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
  /** How often a look was asked for. */
  #asked = 0;
  /** When the last look began, by `performance.now()`. */
  #lookedAt = -Infinity;
  /** Until when there may be orphans, by `performance.now()`. */
  #orphansUntil = 0;
  /** The version of the group's control, and the version that the consumer knows. */
  #control = 0;
  #knownControl = 0;
  #wakeUp = new WakeUp();
  /** How many looks an exclusive consumer has begun. */
  #serial = 0;
  /** Up to this position an exclusive consumer knows all deliveries that it has. The group has read no further. */
  #readTo: Position = "0-0";
  /** Positions that an exclusive consumer has read but may not claim before a look, which gives them back to the group. */
  #refused: readonly Position[] = [];
  /** Until when an exclusive consumer takes new entries by looks only, by `performance.now()`. */
  #lookUntil = 0;
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

  /** The last position that the group has read, as far as an exclusive consumer knows. */
  get readTo(): Position {
    return this.#readTo;
  }

  /** The state of the group as an exclusive consumer knows it: arguments of CONFIRM_READ. */
  get knowledge(): readonly string[] {
    const { reach: { version }, holding } = this.#context;
    const state = [this.#life, `${this.#epoch}`, `${this.#generation}`, this.#lastBell ?? ""];
    return [this.#readTo, `${version}`, ...state, holding ? `${this.#freed}` : ""];
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

  /** Notes the version of the group's control that the store has told. */
  noteControl(version: number): void {
    if (version === this.#control) return;
    this.#control = version;
    if (this.controlChanged) this.wake();
  }

  /** Whether the group's control has changed since the consumer learned of it. */
  get controlChanged(): boolean {
    return this.#control !== this.#knownControl;
  }

  /** The consumer has learned of this version of the group's control. */
  learnedControl(version: number): void {
    this.#control = this.#knownControl = version;
  }

  /** Whether it is time to look. */
  get due(): boolean {
    return performance.now() >= this.#next;
  }

  /** Whether the last look is too old to read a backlog without another one. */
  get stale(): boolean {
    return performance.now() - this.#lookedAt >= STALE;
  }

  /** Whether an exclusive consumer may take new entries only by a look. */
  get mustLook(): boolean {
    return this.stale || performance.now() < this.#lookUntil;
  }

  /** An exclusive consumer has read these entries, and may not claim them before a look. */
  refuseRead(positions: readonly Position[]): void {
    this.#refused = positions;
    // In case that the next read would be refused, too: giving back entries costs more than a look does.
    this.#lookUntil = performance.now() + STALE;
    this.#next = 0;
  }

  /** The group was made again, so that an exclusive consumer has no deliveries. */
  forgetReads(): void {
    this.#readTo = "0-0";
    this.#refused = [];
  }

  /** Makes a look due now, and ends the wait. */
  lookNow(): void {
    this.#asked++;
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
      const reply = await link.send(["HMGET", meta, "bell", "life", "epoch", "control"]) as readonly (string | null)[];
      const same = reply[1] === this.#life && Number(reply[2]) === this.#epoch;
      if (!same || (reply[0] ?? "") !== this.#lastBell) this.lookNow();
      this.noteControl(Number(reply[3] ?? 0));
      return same;
    } catch {
      // The look that is due now meets the same failure and reports it.
      this.lookNow();
      return false;
    }
  }

  /** Looks for orphans and returned deliveries; undefined if there are none. Plans the next look. */
  async look(limit: number): Promise<Claim | undefined> {
    if (performance.now() > this.#orphansUntil) return await this.#sweep(limit);
    if (!this.#context.exclusive) return await this.#orphans(limit) ?? await this.#sweep(limit);
    await this.#returnOrphans();
    return await this.#sweep(limit);
  }

  /** Claims orphans. */
  async #orphans(limit: number): Promise<Claim | undefined> {
    const orphans = await this.#orExpectOrphans(findOrphans(this.#context, limit, this.#context.known(), REPLY_TIME));
    this.#orphansUntil = Math.min(this.#orphansUntil, performance.now() + ORPHAN_TIME);
    return orphans.length === 0 ? undefined : await this.adopt(orphans);
  }

  /** Gives all orphans of an exclusive consumer back to the group, so that they come in their place. */
  async #returnOrphans(): Promise<void> {
    // From now on no earlier look takes anything, so all orphans are there.
    await this.#runLook(0);
    const { known } = this.#context;
    const orphans = await this.#orExpectOrphans(findOrphans(this.#context, Infinity, known(), 0));
    for (let from = 0; from < orphans.length; from += RETURN_AT_ONCE) {
      this.#refused = orphans.slice(from, from + RETURN_AT_ONCE);
      await this.#runLook(0);
    }
    this.#orphansUntil = 0;
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
    const asked = this.#asked;
    const reply = await this.#runLook(limit);
    const [generation, epoch, nextDue, nextEnd, missing, taken, bell, gap, entries, readTo] = reply as readonly [
      number,
      number,
      number,
      number,
      readonly Position[],
      readonly Delivered[],
      string,
      string,
      Reply?,
      Position?,
    ];
    const fresh = entries === undefined ? [] : parseEntries(entries);
    if (readTo) this.#readTo = readTo;
    this.noteControl(Number((reply as readonly Reply[]).at(-1)));
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
    const nothing = taken.length === 0 && missing.length === 0 && !disturbed && removed === undefined;
    const next = Math.min(
      lease / 4,
      nextDue < 0 ? Infinity : nextDue,
      nextEnd < 0 ? Infinity : nextEnd + 1,
      performance.now() < this.#orphansUntil ? REPLY_TIME : Infinity,
    );
    this.#next = nothing && asked === this.#asked ? performance.now() + Math.max(1, next) : 0;
    if (nothing && fresh.length === 0) return undefined;
    const records = [...this.#claimed(taken, generation), ...this.claimedNew(fresh)];
    return { records, missing, disturbed, ...(removed && { removed }) };
  }

  async #runLook(limit: number): Promise<Reply> {
    const { lease, reach: { version, deferTimeout }, exclusive, holding, run } = this.#context;
    const patience = deferTimeout === Infinity ? "" : `${Math.round(deferTimeout)}`;
    const args = (third: number) => [`${lease}`, `${limit}`, `${third}`, `${version}`, patience];
    if (!exclusive) return await this.#orExpectOrphans(run(holding ? CLAIM_HOLDING : CLAIM, args(FOREIGN_IDLE)));
    const known = [this.#readTo, `${this.#epoch}`, ...this.#refused];
    const script = holding ? CLAIM_EXCLUSIVE_HOLDING : CLAIM_EXCLUSIVE;
    const reply = await this.#orExpectOrphans(run(script, [...args(++this.#serial), ...known]));
    this.#refused = [];
    return reply;
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

  /** New entries that an exclusive consumer has read by a command of its own, as claimed records. */
  claimedRead(records: readonly StoredRecord[]): ClaimedRecord[] {
    this.#readTo = records.at(-1)?.position ?? this.#readTo;
    return this.claimedNew(records);
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
    let delay = Infinity;
    for (const outcome of outcomes) delay = Math.min(delay, this.#returnsAfter(outcome));
    if (delay <= 0) return this.lookNow();
    const next = performance.now() + delay;
    if (next >= this.#next) return;
    this.#next = next;
    this.#wakeUp.wake();
  }

  /** In how many milliseconds a settled delivery may come back to this consumer. */
  #returnsAfter(outcome: Outcome): number {
    if (staysHeld(outcome)) return Infinity;
    if (outcome.kind === "defer") return this.#context.reach.deferTimeout;
    if (outcome.kind === "wait") return this.#context.holding ? Infinity : 0;
    if (outcome.kind !== "retry" && outcome.kind !== "release") return Infinity;
    // An exclusive consumer gets it before it is due.
    return this.#context.exclusive ? 0 : outcome.delay ?? 0;
  }
}

/** Reads "from to count", where the count may be a dash; undefined for an empty text. */
function parseGap(text: string): RemovedRange | undefined {
  if (text === "") return undefined;
  const [from, to, count] = text.split(" ") as [Position, Position, string];
  return { from, to, count: count === "-" ? undefined : Number(count) };
}
