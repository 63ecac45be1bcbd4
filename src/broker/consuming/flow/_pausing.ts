import type { GroupMember, RateLimit, SharedText } from "../../../store/mod.ts";
import { type Control, parseControl, pauseAt } from "./_control.ts";

/** Why a consumer starts no handlers. */
export interface Pause {
  /** Whether the group is paused, or this consumer alone. */
  readonly scope: "group" | "consumer";
  /** Since when. */
  readonly since: Date;
  /** When the pause ends by itself; undefined if it does not. */
  readonly until: Date | undefined;
  /** The reason that was given. */
  readonly reason: string | undefined;
  /** Set while the pause is being written. */
  readonly expected?: boolean;
}

/** The consumer of a {@linkcode Pausing}. */
export interface PausingOptions {
  readonly member: Pick<GroupMember, "control">;
  /**
   * The consumer has paused, or goes on. `byItself` is true when a pause of the group ended because its time was over.
   */
  changed(pause: Pause | undefined, byItself: boolean): void;
  /** The group has this limit from now on. */
  limited(rate: RateLimit | undefined): void;
}

/** Whether a consumer is paused: by the control of its group, or by its subscription. */
export class Pausing {
  #options: PausingOptions;
  #control: Control = {};
  #version = 0;
  /** The time of the store minus `performance.now()`, when the control was read. */
  #offset = 0;
  /** Since when this consumer alone is paused. */
  #own: Date | undefined;
  /** A pause of the group that is about to be written. */
  #expected: Pause | undefined;
  #pause: Pause | undefined;
  #asking = false;

  constructor(options: PausingOptions) {
    this.#options = options;
  }

  /** The pause that was last told by `changed`. */
  get pause(): Pause | undefined {
    return this.#pause;
  }

  /** In how many milliseconds the pause of the group ends by itself. */
  get left(): number {
    const until = pauseAt(this.#control, this.#now())?.until;
    return until === undefined ? Infinity : until - this.#now();
  }

  #now(): number {
    return this.#offset + performance.now();
  }

  /** The control of the group was read. Older answers are ignored. */
  learn({ text, version, now }: SharedText): void {
    // A group that was made again has no version yet.
    if (version < this.#version && version !== 0) return;
    this.#version = version;
    this.#offset = now - performance.now();
    const before = this.#control.rate;
    this.#control = parseControl(text);
    if (before !== undefined || this.#control.rate !== undefined) this.#options.limited(this.#control.rate);
    this.update();
  }

  /** Reads the control of the group. While the store cannot be reached, nothing changes: claims and renewals report that. */
  async check(): Promise<void> {
    try {
      this.learn(await this.#options.member.control());
    } catch {
      // The next check comes soon.
    }
  }

  /** The same, unless an answer is under way. */
  async poll(): Promise<void> {
    if (this.#asking) return;
    this.#asking = true;
    await this.check();
    this.#asking = false;
  }

  /** Pauses this consumer alone. */
  pauseHere(): void {
    this.#own ??= new Date();
    this.update();
  }

  /** Ends the pause of this consumer alone. */
  resumeHere(): void {
    this.#own = undefined;
    this.update();
  }

  /** Pauses until the control is read again, because the group is about to be paused. Undefined: it is not. */
  expect(pause: Pause | undefined): void {
    this.#expected = pause;
    this.update();
  }

  /** Tells whether the consumer is paused now, and of a change. */
  update(): Pause | undefined {
    const before = this.#pause;
    if (before === undefined && this.#control.paused === undefined && this.#own === undefined) {
      if (this.#expected === undefined) return undefined;
    }
    const pause = this.#current();
    if (isSame(before, pause)) return before;
    this.#pause = pause;
    this.#options.changed(pause, pause === undefined && this.#control.paused !== undefined);
    return pause;
  }

  #current(): Pause | undefined {
    const group = pauseAt(this.#control, this.#now());
    if (group !== undefined) {
      const { since, until, reason } = group;
      return {
        scope: "group",
        since: new Date(since),
        until: until === undefined ? undefined : new Date(until),
        reason,
      };
    }
    if (this.#expected !== undefined) return this.#expected;
    return this.#own && { scope: "consumer", since: this.#own, until: undefined, reason: undefined };
  }
}

function isSame(one: Pause | undefined, other: Pause | undefined): boolean {
  return one?.scope === other?.scope && one?.since.getTime() === other?.since.getTime() &&
    one?.until?.getTime() === other?.until?.getTime() && one?.expected === other?.expected;
}
