import { WakeUp } from "../../../store/_wake_up.ts";
import {
  type Claim,
  comparePositions,
  type Fields,
  type GroupMember,
  type HeldDeliveries,
  type KeyedDelivery,
} from "../../../store/mod.ts";
import { untilReached } from "../../_store_retry.ts";
import { OTHER_TYPE } from "../../codec/_stream_codec.ts";
import { UndecodableError } from "../../errors.ts";
import { bySubject, MAX_KEY_LENGTH } from "../jobs/_consumer_settings.ts";
import type { Job, JobSource, KeyHolds } from "../jobs/_job.ts";

/** The part of a consumer that a gate uses. */
export interface HeldKeysOptions {
  readonly member: Pick<GroupMember, "held">;
  /** Returns the key of an event. */
  readonly key: NonNullable<JobSource["key"]>;
  /** Aborts when the consumer reads no more. */
  readonly signal: AbortSignal;
  /** The lowest number of a job that this consumer has, or has yet to make of a claimed delivery. */
  oldest(): number;
  /** Whether claimed deliveries are still to be decoded. */
  decoding(): boolean;
  /** The jobs of the deliveries that this consumer has. */
  jobs(): readonly Job[];
  /** Takes jobs that may start. */
  admit(jobs: readonly Job[]): void;
  /** Has a job wait in the store until its key is free. */
  wait(job: Job): void;
  /** Makes a job that cannot wait a dead letter, because too many wait. */
  refuse(job: Job): void;
  /** The store could not be reached; the next try comes after `delay` milliseconds. */
  retrying(error: unknown, delay: number): void;
  failed(error: unknown): void;
}

/** A key of which this consumer has made a dead letter, or had deliveries wait. */
interface OwnKey {
  /** How many of its deliveries are about to wait: the store has not replied yet. */
  unanswered: number;
  /** Its deliveries up to this number of a job were claimed before the store replied. */
  through: number;
  /** Whether a claim that was sent before the reply has not returned yet. */
  claiming: boolean;
}

/**
 * Keeps jobs from starting whose key a dead letter holds: they wait in the store. It stands between decoding and the
 * scheduler.
 *
 * The store is asked about the jobs of a claim that says so. Of what this consumer does itself it knows before: after a dead
 * letter, all later deliveries of the key wait that it has claimed already. Otherwise one of them could start, if the letter
 * is redriven at that moment, before earlier ones that have gone back to the store. For the same reason, while keys are held,
 * no claim is sent before it is known which deliveries of the last claim wait, and the store has replied: if it has returned
 * some of them instead, the next claim gets all of them, in order.
 */
export class HeldKeys implements KeyHolds {
  #options: HeldKeysOptions;
  #own = new Map<string, OwnKey>();
  /** Whether the group may hold keys, as of the last claim. */
  #mayHold = false;
  /** The claim that is under way, and whether a letter was written since it was sent. */
  #claim: { readonly ended: AbortController; heldSince: boolean } | undefined;
  /** How many deliveries were claimed: the number of the last job. */
  #received = 0;
  #unanswered = 0;
  #changed = new WakeUp();
  #asking = false;
  #queue: Job[] = [];
  /** Of jobs that were claimed while keys were held: how often letters had ceased to hold one. */
  #freedAt = new WeakMap<Job, number>();

  constructor(options: HeldKeysOptions) {
    this.#options = options;
  }

  /** Resolves when the next claim may be sent. */
  async settled(): Promise<void> {
    const { signal } = this.#options;
    while (this.#isUnsettled() && !signal.aborted) await this.#changed.wait(signal);
  }

  #isUnsettled(): boolean {
    if (this.#unanswered > 0) return true;
    return (this.#mayHold || this.#own.size > 0) && (this.#asking || this.#options.decoding());
  }

  /** Deliveries were decoded, released or lost. */
  changed(): void {
    this.#changed.wake();
  }

  /** A claim is about to be sent. Returns the signal that ends it. */
  claiming(signal: AbortSignal): AbortSignal {
    this.#claim = { ended: new AbortController(), heldSince: false };
    return AbortSignal.any([signal, this.#claim.ended.signal]);
  }

  /** The claim has returned. */
  claimed({ records, holding }: Pick<Claim, "records" | "holding">): void {
    this.#mayHold = holding !== undefined || this.#claim?.heldSince === true;
    this.#claim = undefined;
    this.#received += records.length;
    if (this.#own.size === 0) return;
    const oldest = this.#options.oldest();
    for (const [key, own] of this.#own) {
      if (own.claiming) {
        own.claiming = false;
        own.through = this.#received;
      } else if (own.unanswered === 0 && own.through < oldest) this.#own.delete(key);
    }
  }

  /**
   * A job was made of a delivery. Its key is set by the fields of its entry, where they tell it: so it has one if it cannot be
   * decoded, too.
   *
   * @param holding What its claim says.
   */
  made(job: Job, fields: Fields, holding: number | undefined): void {
    if (holding !== undefined) this.#freedAt.set(job, holding);
    if (this.#options.key !== bySubject) return;
    const at = fields.findIndex((name, nth) => nth % 2 === 0 && name === "subject");
    const subject = at === -1 ? undefined : fields[at + 1];
    if (subject && subject.length <= MAX_KEY_LENGTH) job.orderBy(subject);
  }

  /** Takes decoded jobs, in order. */
  admit(jobs: readonly Job[]): void {
    for (const job of jobs) this.#setKey(job);
    this.#queue.push(...jobs);
    if (!this.#asking) this.#next();
  }

  #setKey(job: Job): void {
    const { content } = job;
    if (typeof content !== "object" || content instanceof Error) return;
    try {
      const key: unknown = this.#options.key(content);
      if (typeof key === "string" && key.length <= MAX_KEY_LENGTH) job.orderBy(key);
    } catch {
      // The runner calls the function once more, and reports the error.
    }
  }

  #next(): void {
    while (this.#queue.length > 0) {
      const jobs = this.#queue.splice(0);
      const mayHold = this.#mayHold || jobs.some((job) => this.#freedAt.has(job));
      const keyed = mayHold ? jobs.flatMap(keyedDelivery) : [];
      if (keyed.length > 0) return void this.#ask(jobs, keyed);
      this.#decide(jobs);
    }
  }

  async #ask(jobs: readonly Job[], keyed: readonly KeyedDelivery[]): Promise<void> {
    this.#asking = true;
    try {
      this.#decide(jobs, await this.#held(keyed));
    } catch (error) {
      this.#options.failed(error);
    } finally {
      this.#asking = false;
      this.#changed.wake();
      this.#next();
    }
  }

  /** Asks the store, and again while it cannot be reached. When the consumer ends, nothing is held: nothing starts then. */
  #held(keyed: readonly KeyedDelivery[]): Promise<HeldDeliveries | undefined> {
    const { member, signal, retrying } = this.#options;
    return untilReached(() => member.held(keyed), signal, retrying);
  }

  #decide(jobs: readonly Job[], answer?: HeldDeliveries): void {
    const held = new Set<string>(answer?.positions);
    let room = answer?.room ?? 0;
    const free: Job[] = [];
    const waiting: Job[] = [];
    const refused: Job[] = [];
    for (const job of jobs) {
      // It was released or lost meanwhile.
      if (job.state !== "waiting") continue;
      const keyed = keyedDelivery(job)[0];
      if (keyed === undefined) free.push(job);
      else if (this.#isOwn(job, keyed.key)) waiting.push(job);
      else if (!held.has(keyed.position)) (this.#isOvertaken(job, answer) ? waiting : free).push(job);
      else (room-- > 0 ? waiting : refused).push(job);
    }
    for (const job of waiting) this.#options.wait(job);
    for (const job of refused) this.#options.refuse(job);
    if (free.length > 0) this.#options.admit(free);
  }

  /**
   * Whether its key may have been held when it was claimed, and is free now: then earlier deliveries of the key have returned to
   * the group since. It goes back, too, and comes again behind them.
   */
  #isOvertaken(job: Job, answer: HeldDeliveries | undefined): boolean {
    const freed = this.#freedAt.get(job);
    return freed !== undefined && answer !== undefined && answer.freed !== freed;
  }

  #isOwn({ sequence }: Job, key: string): boolean {
    const own = this.#own.get(key);
    return own !== undefined && (own.unanswered > 0 || own.claiming || sequence <= own.through);
  }

  held(letter: Job): void {
    this.#mayHold = true;
    if (this.#claim !== undefined) this.#claim.heldSince = true;
    this.#note(letter.key!);
    const later = this.#options.jobs().filter(({ key, state, position }) => {
      return key === letter.key && state === "waiting" && comparePositions(position, letter.position) > 0;
    });
    for (const job of later.sort((one, other) => one.sequence - other.sequence)) this.#options.wait(job);
  }

  waiting(key: string): void {
    this.#unanswered++;
    this.#note(key).unanswered++;
  }

  answered(key: string): void {
    this.#note(key).unanswered--;
    if (--this.#unanswered === 0) this.#changed.wake();
  }

  #note(key: string): OwnKey {
    let own = this.#own.get(key);
    if (own === undefined) this.#own.set(key, own = { unanswered: 0, through: 0, claiming: false });
    own.through = this.#received;
    own.claiming = this.#claim !== undefined;
    // The claim under way counts as one from before, so the next one should come soon.
    this.#claim?.ended.abort();
    return own;
  }
}

/** The position and the key of a job that may have to wait. An entry that is no event is settled at once. */
function keyedDelivery({ content, key, position }: Job): KeyedDelivery[] {
  const settles = content === OTHER_TYPE || content instanceof UndecodableError;
  return key === undefined || settles ? [] : [{ key, position }];
}
