import { Fifo } from "../../store/_fifo.ts";
import { unsent } from "./_stream_publisher.ts";

/** A call that publishes to these streams, from when it came to when its events stand in line. */
export interface Call {
  readonly streams: readonly string[];
  /** When its wait is over, by `performance.now()`. */
  readonly deadline: number;
  readonly signal: AbortSignal | undefined;
}

/** A call that waits: to be prepared, and until no call before it waits for one of its streams. */
class Turn {
  readonly streams: readonly string[];
  readonly deadline: number;
  prepared = false;
  over = false;
  /** Resolves when it has come. */
  readonly come: Promise<void>;
  begin!: () => void;
  fail!: (error: unknown) => void;

  constructor({ streams, deadline }: Call) {
    this.streams = streams;
    this.deadline = deadline;
    this.come = new Promise((resolve, reject) => [this.begin, this.fail] = [resolve, reject]);
  }
}

/**
 * What some events need before they can stand in line: their schema's answer, their encryption. All are prepared at
 * once, and go on in the order of the calls, in each stream, also those that need nothing of the kind.
 */
export class Preparations {
  #turns = new Set<Turn>();
  #lines = new Map<string, Fifo<Turn>>();
  #idle: (() => void)[] = [];

  /** Whether something waits for its turn. */
  get busy(): boolean {
    return this.#turns.size > 0;
  }

  /** Whether something waits for its turn into this stream. */
  holds(stream: string): boolean {
    return this.#lines.has(stream);
  }

  /**
   * Calls `go` with what was prepared when it is the call's turn; until that returns, nothing goes before it. Rejects
   * with what the preparation rejects with, the signal's reason, or that time is up.
   */
  async inTurn<P, R>(call: Call, prepared: Promise<P>, go: (prepared: P) => Promise<R>): Promise<R> {
    const turn = this.#enter(call);
    const abort = () => turn.fail(call.signal!.reason);
    call.signal?.addEventListener("abort", abort);
    prepared.then(() => {
      turn.prepared = true;
      this.#advance(turn.streams);
    }, turn.fail);
    let result: Promise<R>;
    try {
      await turn.come;
      result = go(await prepared);
    } finally {
      call.signal?.removeEventListener("abort", abort);
      this.#leave(turn);
    }
    return await result;
  }

  #enter(call: Call): Turn {
    const turn = new Turn(call);
    this.#turns.add(turn);
    for (const stream of call.streams) {
      const line = this.#lines.get(stream) ?? new Fifo<Turn>();
      this.#lines.set(stream, line);
      line.push(turn);
    }
    return turn;
  }

  #leave(turn: Turn): void {
    turn.over = true;
    this.#turns.delete(turn);
    this.#advance(turn.streams);
    if (!this.busy) { for (const resolve of this.#idle.splice(0)) resolve(); }
  }

  #advance(streams: readonly string[]): void {
    for (const stream of streams) {
      const turn = this.#first(stream);
      if (turn?.prepared && turn.streams.every((stream) => this.#first(stream) === turn)) turn.begin();
    }
  }

  /** Whose turn it is in a stream, once those before it that are over are out of the way. */
  #first(stream: string): Turn | undefined {
    const line = this.#lines.get(stream);
    let turn = line?.peek();
    while (turn?.over) {
      line!.shift();
      turn = line!.peek();
    }
    if (turn === undefined) this.#lines.delete(stream);
    return turn;
  }

  /** Tells those whose time is over. */
  expire(now: number = performance.now()): void {
    for (const turn of this.#turns) {
      if (turn.deadline <= now) {
        turn.fail(unsent(turn.streams.join(", "), new Error("what comes before took too long")));
      }
    }
  }

  /** Resolves when nothing waits. */
  drained(): Promise<void> {
    return this.busy ? new Promise((resolve) => this.#idle.push(resolve)) : Promise.resolve();
  }

  /** Gives up all that waits. */
  close(): void {
    for (const turn of this.#turns) turn.fail(unsent(turn.streams.join(", "), new Error("the broker is closed")));
  }
}
