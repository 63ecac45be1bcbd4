import { dim, red } from "@std/fmt/colors";
import { type BrokerObserver, DeadLetterEvent, RetryEvent } from "@tidings/broker";
import { say } from "../_columns.ts";
import { type AuctionBroker, events } from "../auction/events.ts";

const COLUMNS = ["time", "published", "handled", "retried", "dead", "behind", "ready"] as const;
const HEAD_EVERY = 20;

/** Counts what this process does, and prints it in lines. The same numbers and more are on /metrics. */
export class Status implements BrokerObserver {
  #broker: AuctionBroker;
  #stalledAfter: number;
  #counts = { published: 0, handled: 0, retried: 0, dead: 0 };
  #printed = 0;
  #told = new Set<string>();

  constructor(broker: AuctionBroker, { stalledAfter }: { stalledAfter: number }) {
    this.#broker = broker;
    this.#stalledAfter = stalledAfter;
  }

  publishing(published: readonly unknown[]): ReturnType<NonNullable<BrokerObserver["publishing"]>> {
    return {
      ended: ({ error }) => {
        if (error === undefined) this.#counts.published += published.length;
      },
    };
  }

  handling(): ReturnType<NonNullable<BrokerObserver["handling"]>> {
    return {
      ended: ({ outcome }) => {
        if (outcome === "ack") this.#counts.handled++;
      },
    };
  }

  lifecycle(event: Event): void {
    if (event instanceof RetryEvent) this.#counts.retried++;
    else if (event instanceof DeadLetterEvent) this.#counts.dead++;
  }

  /** Prints at this interval, in milliseconds, until the result is disposed. */
  printEvery(interval: number): Disposable {
    let printing = false;
    const timer = setInterval(async () => {
      // While the store is away, printing may take longer than the interval.
      if (printing) return;
      printing = true;
      await this.#print();
      printing = false;
    }, interval);
    return { [Symbol.dispose]: () => clearInterval(timer) };
  }

  /** Prints why an event was not published. */
  notPublished(error: unknown): void {
    this.#tell([`An event was not published: ${error instanceof Error ? error.message : error}`]);
  }

  /** Prints a line of numbers, and the problems if they have changed. */
  async #print(): Promise<void> {
    const { ready, problems, store } = await this.#broker.health({ stalledAfter: this.#stalledAfter });
    const behind = store.state === "unreachable" ? "?" : await this.#behind();
    const { published, handled, retried, dead } = this.#counts;
    const time = new Date().toLocaleTimeString("en-GB");
    const cells = [time, published, handled, retried, dead, behind, ready ? "yes" : "no"];
    if (this.#printed++ % HEAD_EVERY === 0) console.log(dim(row(COLUMNS)));
    console.log(ready ? row(cells) : red(row(cells)));
    if (!ready) this.#tell(problems);
    else this.#told.clear();
  }

  /** Prints problems that were not printed before, apart from their numbers and times. */
  #tell(problems: readonly string[]): void {
    for (const problem of problems) {
      const kind = problem.replaceAll(/\d+/g, "");
      if (!this.#told.has(kind)) say(red(problem), "    ");
      this.#told.add(kind);
    }
  }

  /** How many events the groups have not handled yet. */
  async #behind(): Promise<number | "?"> {
    try {
      const infos = await Promise.all(events.map((event) => this.#broker.info(event)));
      return infos.flatMap(({ groups }) => groups).reduce((sum, { lag, pending }) => sum + lag + pending, 0);
    } catch {
      // The store went away in the meantime: health() tells it next time.
      return "?";
    }
  }
}

function row(cells: readonly (string | number)[]): string {
  return cells.map((cell) => String(cell).padStart(10)).join("");
}
