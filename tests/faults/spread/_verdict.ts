import type { Position } from "../../../src/store/mod.ts";
import { type Group, GROUPS } from "./_bids.ts";

/** A stored event, as the history shows it. */
export interface Stored {
  readonly id: string;
  readonly position: Position;
  readonly auctionId: string;
  /** The process that published it. */
  readonly by: string;
  /** Its number among those of this process and auction. */
  readonly n: number;
}

/** What the log says about one event in one group. The numbers are those of lines. */
interface Handling {
  /** The first start of a handler. */
  started: number;
  /** The first end of a handler that did not throw. */
  ended: number;
  starts: number;
}

/** Groups that keep the order of each auction. */
const ORDERED = GROUPS.filter((group) => group !== "shared");

/** Compares the log of all processes with the history, and finds broken promises. */
export class Verdict {
  /** How many lines of each kind there are. */
  readonly kinds = new Map<string, number>();
  #lines: readonly string[];
  #unwanted: string[] = [];
  #positions = new Map<string, string>();
  #doubtful = new Set<string>();
  #handlings = new Map<Group, Map<string, Handling>>(GROUPS.map((group) => [group, new Map()]));

  /**
   * @param log The log of all processes, in the order in which they wrote.
   * @param unwanted Kinds of lines that must not be there.
   */
  constructor(log: string, unwanted: readonly string[]) {
    this.#lines = log.split("\n");
    for (const [at, line] of this.#lines.entries()) if (line !== "") this.#take(at, line, unwanted);
  }

  #take(at: number, line: string, unwanted: readonly string[]): void {
    const [, , kind, a, b] = line.split(" ", 6) as [string, string, string, string, string];
    this.kinds.set(kind, (this.kinds.get(kind) ?? 0) + 1);
    if (unwanted.includes(kind)) this.#unwanted.push(line);
    if (kind === "accepted") this.#positions.set(a, b);
    else if (kind === "uncertain" || kind === "rejected") this.#doubtful.add(a);
    else if (kind === "start" || kind === "ok") {
      const handlings = this.#handlings.get(a as Group)!;
      const handling = handlings.get(b) ?? { started: at, ended: Infinity, starts: 0 };
      handlings.set(b, handling);
      if (kind === "start") handling.starts++;
      else handling.ended = Math.min(handling.ended, at);
    }
  }

  /** How many events were accepted. */
  get accepted(): number {
    return this.#positions.size;
  }

  /** How often events were handled again, in all groups, except after a failure of their handler. */
  get repeats(): number {
    const starts = [...this.#handlings.values()].flatMap((handlings) => [...handlings.values()])
      .reduce((sum, { starts }) => sum + starts - 1, 0);
    return starts - (this.kinds.get("failed") ?? 0);
  }

  /**
   * Every broken promise, with lines of the log about it.
   *
   * @param options.failovers Whether events that were handled but not accepted may be lost.
   */
  faults(history: readonly Stored[], { failovers = false }: { readonly failovers?: boolean } = {}): string[] {
    return [
      ...this.#unwanted,
      ...this.#lost(history),
      ...failovers ? [] : this.#unknown(history),
      ...this.#unhandled(history),
      ...this.#disordered(history),
    ];
  }

  /** Events that were handled and are not stored. */
  *#unknown(history: readonly Stored[]): Generator<string> {
    const stored = new Set(history.map(({ id }) => id));
    for (const [group, handlings] of this.#handlings) {
      for (const id of handlings.keys()) {
        if (!stored.has(id)) yield this.#told(`${id} was handled in ${group} and is not stored`, [id]);
      }
    }
  }

  /** Accepted events that are not stored, events that are stored twice, and events of a publisher in another order. */
  *#lost(history: readonly Stored[]): Generator<string> {
    const stored = new Map<string, Stored>();
    const last = new Map<string, Stored>();
    for (const event of history) {
      const { id, by, auctionId, n } = event;
      if (stored.has(id)) yield `${id} is stored at ${stored.get(id)!.position} and ${event.position}`;
      stored.set(id, event);
      // An event that was published again lost its place.
      if (this.#doubtful.has(id)) continue;
      const before = last.get(`${by} ${auctionId}`);
      last.set(`${by} ${auctionId}`, event);
      if (before !== undefined && before.n > n) yield this.#told(`${id} was published before`, [before.id, id]);
    }
    for (const [id, position] of this.#positions) {
      const found = stored.get(id)?.position;
      if (found !== position) yield this.#told(`${id} was accepted at ${position} and is stored at ${found}`, [id]);
    }
  }

  *#unhandled(history: readonly Stored[]): Generator<string> {
    for (const [group, handlings] of this.#handlings) {
      for (const { id, auctionId } of history) {
        if ((handlings.get(id)?.ended ?? Infinity) === Infinity) {
          yield this.#told(`${id} of ${auctionId} is missing in ${group}`, [id]);
        }
      }
    }
  }

  /** Events whose first handler started before any handler of the event before them, of the same auction, had ended. */
  *#disordered(history: readonly Stored[]): Generator<string> {
    for (const group of ORDERED) {
      const handlings = this.#handlings.get(group)!;
      const last = new Map<string, Stored>();
      for (const event of history) {
        const before = last.get(event.auctionId);
        last.set(event.auctionId, event);
        const [first, second] = [before && handlings.get(before.id), handlings.get(event.id)];
        if (first === undefined || second === undefined || first.ended < second.started) continue;
        yield this.#told(
          `${event.auctionId} in ${group}: ${event.id} at ${event.position} began before the end of ${before!.id} at ` +
            before!.position,
          [before!.id, event.id],
        );
      }
    }
  }

  #told(fault: string, ids: readonly string[]): string {
    const lines = this.#lines.filter((line) => ids.some((id) => line.includes(id)));
    return [fault, ...lines.slice(0, 40)].join("\n    ");
  }
}
