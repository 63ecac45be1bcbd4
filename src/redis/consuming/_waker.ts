import { Bell } from "../../store/_bell.ts";
import type { Reply } from "../connection/client.ts";
import type { Route } from "../connection/_topology.ts";

// Whoever is not waiting yet, although it is about to, is told again after so long, in ms. It asks by itself once it
// waits, so that this covers only the moment in which its question and its read may overtake each other.
const AGAIN = [5, 50];

/** Ends blocked reads of others, because something came back that no read tells of. */
export class Waker {
  #link: Route;
  #underWay = new Set<Promise<void>>();
  #closed = new AbortController();

  constructor(link: Route) {
    this.#link = link;
  }

  /** Wakes those that wait by these connections. Best effort: all others look by themselves now and then. */
  wake(connections: Reply): void {
    for (const connection of connections as readonly string[]) {
      const waking = this.#wake(connection).catch(() => {}).finally(() => this.#underWay.delete(waking));
      this.#underWay.add(waking);
    }
  }

  async #wake(connection: string): Promise<void> {
    for (let again = 0; await this.unblock(connection, "ERROR") === 0 && again < AGAIN.length; again++) {
      await new Bell().wait(this.#closed.signal, AGAIN[again]);
      if (this.#closed.signal.aborted) return;
    }
  }

  /**
   * Ends a connection's blocked read. With `"ERROR"` the read says that it was ended, which others do, and not that its
   * time was up; with `"TIMEOUT"` it does not, which is how its owner ends it.
   *
   * @returns 0 if it was not blocked.
   */
  unblock(connection: string, by: "ERROR" | "TIMEOUT"): Promise<Reply> {
    return this.#link.send(["CLIENT", "UNBLOCK", connection, by]);
  }

  /** Resolves once all have been told: whoever leaves may be the only one who knows. */
  async told(): Promise<void> {
    await Promise.all(this.#underWay);
  }

  /** Tells nobody again. */
  close(): void {
    this.#closed.abort();
  }
}
