import { WakeUp } from "../../store/_wake_up.ts";
import type { Reply } from "../connection/client.ts";
import type { Route } from "../connection/_topology.ts";

// Delays before another attempt to end a read that is not blocked yet, in ms. The consumer checks for returned
// deliveries once its read has been sent, so these attempts only cover the time in which the two may cross.
const AGAIN = [5, 50];

/** Ends blocked reads of other consumers when deliveries return to the group, because no read reports that. */
export class Waker {
  #link: Route;
  #underWay = new Set<Promise<void>>();
  #closed = new AbortController();

  constructor(link: Route) {
    this.#link = link;
  }

  /** Ends the blocked reads of these connections. Failures are ignored: consumers also look without being woken. */
  wake(connections: Reply): void {
    for (const connection of connections as readonly string[]) {
      const waking = this.#wake(connection).catch(() => {}).finally(() => this.#underWay.delete(waking));
      this.#underWay.add(waking);
    }
  }

  async #wake(connection: string): Promise<void> {
    for (let again = 0; await this.unblock(connection, "ERROR") === 0 && again < AGAIN.length; again++) {
      await new WakeUp().wait(this.#closed.signal, AGAIN[again]);
      if (this.#closed.signal.aborted) return;
    }
  }

  /**
   * Ends the blocked read of a connection.
   *
   * @param by `"ERROR"` if another consumer ends the read: its owner then looks for returned deliveries. `"TIMEOUT"` if
   * its owner does.
   * @returns 0 if the connection was not blocked.
   */
  unblock(connection: string, by: "ERROR" | "TIMEOUT"): Promise<Reply> {
    return this.#link.send(["CLIENT", "UNBLOCK", connection, by]);
  }

  /** Resolves once all wake-ups have been sent: after a consumer has left, no other may know of the returned deliveries. */
  async sent(): Promise<void> {
    await Promise.all(this.#underWay);
  }

  /** Makes no further attempts. */
  close(): void {
    this.#closed.abort();
  }
}
