import { setTimeout as pause } from "node:timers/promises";
import { green, yellow } from "@std/fmt/colors";
import { StoreError } from "@tidings/broker";

/** Tells that the store cannot be reached, once, and waits with whoever wants to read until it is back. */
export class Outage {
  #signal: AbortSignal;
  #lost = false;

  constructor(signal: AbortSignal) {
    this.#signal = signal;
  }

  /** Something failed that the broker tries again by itself. */
  lost(error: unknown): void {
    if (this.#lost || this.#signal.aborted) return;
    this.#lost = true;
    const why = error instanceof Error ? error.message : String(error);
    console.log(yellow(`  The broker's store is away: ${why}`));
    console.log(yellow("  It is tried again, and this goes on as soon as it is back; Ctrl-C ends it."));
  }

  /** Reads, again and again while the store cannot be reached. */
  async outlast<T>(read: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        const found = await read();
        if (this.#lost) console.log(green("  It is back."));
        this.#lost = false;
        return found;
      } catch (error) {
        if (!(error instanceof StoreError && (error.kind === "transient" || error.kind === "uncertain"))) throw error;
        this.lost(error);
        await pause(200, undefined, { signal: this.#signal });
      }
    }
  }
}
