import { comparePositions, type Position } from "../../../src/store/mod.ts";
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

/** What the log says about one entry in one group. The numbers are those of lines. */
interface Handling {
  readonly id: string;
  readonly position: Position;
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
  /** By the id and the position of the entry: what a failover loses is published again, and gets another position. */
  #handlings = new Map<Group, Map<string, Handling>>(GROUPS.map((group) => [group, new Map()]));
  #auctionIds = new Map<string, string>();

  /**
   * @param log The log of all processes, in the order in which they wrote.
   * @param unwanted Kinds of lines that must not be there.
   */
  constructor(log: string, unwanted: readonly string[]) {
    this.#lines = log.split("\n");
    for (const [at, line] of this.#lines.entries()) if (line !== "") this.#take(at, line, unwanted);
  }

  #take(at: number, line: string, unwanted: readonly string[]): void {
    const [, , kind, a, b, c] = line.split(" ", 6) as [string, string, string, string, string, Position];
    this.kinds.set(kind, (this.kinds.get(kind) ?? 0) + 1);
    if (unwanted.includes(kind)) this.#unwanted.push(line);
    if (kind === "accepted") this.#positions.set(a, b);
    else if (kind === "try") this.#auctionIds.set(a, b);
    else if (kind === "uncertain" || kind === "rejected") this.#doubtful.add(a);
    else if (kind === "start" || kind === "ok") {
      const handlings = this.#handlings.get(a as Group)!;
      const handling = handlings.get(`${b} ${c}`) ?? { id: b, position: c, started: at, ended: Infinity, starts: 0 };
      handlings.set(`${b} ${c}`, handling);
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
   * @param options.failovers Whether entries that were handled but not accepted may be lost.
   */
  faults(history: readonly Stored[], { failovers = false }: { readonly failovers?: boolean } = {}): string[] {
    return [
      ...this.#unwanted,
      ...this.#lost(history),
      ...failovers ? this.#disorderedUnknown(history) : this.#unknown(history),
      ...this.#unhandled(history),
      ...this.#disordered(history),
    ];
  }

  /** The handlings of entries that are not stored. */
  #unknownIn(group: Group, history: readonly Stored[]): Handling[] {
    const stored = new Set(history.map(entryOf));
    return [...this.#handlings.get(group)!.values()].filter((handling) => !stored.has(entryOf(handling)));
  }

  *#unknown(history: readonly Stored[]): Generator<string> {
    for (const group of GROUPS) {
      for (const { id, position } of this.#unknownIn(group, history)) {
        yield this.#told(`${id} was handled in ${group} at ${position} and is not stored there`, [id]);
      }
    }
  }

  /** Entries that a failover has lost, and that were handled in another order before. */
  *#disorderedUnknown(history: readonly Stored[]): Generator<string> {
    const stored = Map.groupBy(history, ({ auctionId }) => auctionId);
    for (const group of ORDERED) {
      const unknown = Map.groupBy(this.#unknownIn(group, history), ({ id }) => this.#auctionIds.get(id)!);
      for (const [auctionId, handlings] of unknown) {
        handlings.sort((one, other) => comparePositions(one.position, other.position));
        for (const [nth, second] of handlings.entries()) {
          const first = handlings[nth - 1];
          if (first === undefined || first.ended < second.started) continue;
          // Two failovers have lost them.
          if (stored.get(auctionId)?.some(({ position }) => isBetween(position, first, second))) continue;
          yield this.#toldOrder(auctionId, group, first, second);
        }
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
      for (const { id, position, auctionId } of history) {
        if ((handlings.get(entryOf({ id, position }))?.ended ?? Infinity) === Infinity) {
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
        const [first, second] = [before && handlings.get(entryOf(before)), handlings.get(entryOf(event))];
        if (first === undefined || second === undefined || first.ended < second.started) continue;
        yield this.#toldOrder(event.auctionId, group, first, second);
      }
    }
  }

  #toldOrder(auctionId: string, group: Group, first: Handling, second: Handling): string {
    return this.#told(
      `${auctionId} in ${group}: ${second.id} at ${second.position} began before the end of ${first.id} at ` +
        first.position,
      [first.id, second.id],
    );
  }

  #told(fault: string, ids: readonly string[]): string {
    const lines = this.#lines.filter((line) => ids.some((id) => line.includes(id)));
    return [fault, ...lines.slice(0, 40)].join("\n    ");
  }
}

/** The key of an entry among the handlings. */
function entryOf({ id, position }: { readonly id: string; readonly position: Position }): string {
  return `${id} ${position}`;
}

function isBetween(position: Position, first: Handling, second: Handling): boolean {
  return comparePositions(first.position, position) < 0 && comparePositions(position, second.position) < 0;
}
