import type { Place } from "./_places.ts";
import type { Promoter, PromoterOptions } from "./_promoter.ts";
import { startTimer, type Timer } from "./_timer.ts";
import { load } from "../../store/_load.ts";

// How long after a broker was made it looks for scheduled events, in milliseconds: random, so that brokers spread out.
const START = 50;
const START_SPREAD = 50;

/** The scheduled events of a broker: starts what stores them in time. It is loaded soon after the broker was made. */
export class Scheduling {
  #options: PromoterOptions;
  #promoter: Promoter | undefined;
  #starting: Promise<void> | undefined;
  #timer: Timer | undefined;
  /** Events that were scheduled before the promoter was loaded: in how many milliseconds they are due, and since when. */
  #noted: { readonly place: Place; readonly dueAt: number }[] = [];
  #closed = false;

  constructor(options: PromoterOptions) {
    this.#options = options;
    this.#timer = startTimer(() => void this.#start(), START + START_SPREAD * Math.random());
  }

  /** Events were scheduled; the first of them is due in `wait` milliseconds. */
  note(stream: string, layout: number | undefined, wait: number): void {
    const place = { stream, layout };
    if (this.#promoter !== undefined) return this.#promoter.note(place, wait);
    this.#noted.push({ place, dueAt: performance.now() + wait });
    void this.#start();
  }

  #start(): Promise<void> {
    return this.#starting ??= this.#load().catch((error) => this.#options.failed(error));
  }

  async #load(): Promise<void> {
    this.#timer?.stop();
    const { Promoter } = await load(() => import("./_promoter.ts"));
    if (this.#closed) return;
    const promoter = this.#promoter = new Promoter(this.#options);
    for (const { place, dueAt } of this.#noted.splice(0)) promoter.note(place, dueAt - performance.now());
    promoter.start();
  }

  /** Why scheduled events cannot be stored, by stream. */
  get errors(): ReadonlyMap<string, unknown> {
    return this.#promoter?.errors ?? new Map();
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#timer?.stop();
    await this.#promoter?.close();
  }
}
