import { Fifo } from "../../store/_fifo.ts";
import { closedBefore, timedOut } from "./_publish_errors.ts";

/** A call of `publish` whose events are prepared before they are queued. */
export interface Call {
  readonly streams: readonly string[];
  /** When it times out, by `performance.now()`. */
  readonly deadline: number;
  readonly signal: AbortSignal | undefined;
}

/** A call that waits: its events are not prepared yet, or an earlier call to one of its streams waits. */
class Turn {
  readonly streams: readonly string[];
  readonly deadline: number;
  prepared = false;
  over = false;
  /** Resolves when it is the turn of the call. */
  readonly begun: Promise<void>;
  begin!: () => void;
  fail!: (error: unknown) => void;

  constructor({ streams, deadline }: Call) {
    this.streams = streams;
    this.deadline = deadline;
    this.begun = new Promise((resolve, reject) => [this.begin, this.fail] = [resolve, reject]);
  }
}

/**
 * Calls whose events must be prepared before they are queued: validated by an asynchronous schema, or encrypted. All calls
 * prepare at the same time, and are queued in their order in each stream. Calls without preparation wait for their turn,
 * too.
 */
export class Preparations {
  #turns = new Set<Turn>();
  #queues = new Map<string, Fifo<Turn>>();
  #onIdle: (() => void)[] = [];

  /** Whether a call waits for its turn. */
  get busy(): boolean {
    return this.#turns.size > 0;
  }

  /** Whether a call to this stream waits for its turn. */
  holds(stream: string): boolean {
    return this.#queues.has(stream);
  }

  /**
   * Calls `go` with the prepared payloads when it is the call's turn. No later call to the same stream overtakes it. Rejects
   * with the error of the preparation, the signal's reason, or a `PublishTimeoutError`.
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
      await turn.begun;
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
      const queue = this.#queues.get(stream) ?? new Fifo<Turn>();
      this.#queues.set(stream, queue);
      queue.push(turn);
    }
    return turn;
  }

  #leave(turn: Turn): void {
    turn.over = true;
    this.#turns.delete(turn);
    this.#advance(turn.streams);
    if (!this.busy) { for (const resolve of this.#onIdle.splice(0)) resolve(); }
  }

  #advance(streams: readonly string[]): void {
    for (const stream of streams) {
      const turn = this.#first(stream);
      if (turn?.prepared && turn.streams.every((stream) => this.#first(stream) === turn)) turn.begin();
    }
  }

  /** The first waiting call of a stream. */
  #first(stream: string): Turn | undefined {
    const queue = this.#queues.get(stream);
    let turn = queue?.peek();
    while (turn?.over) {
      queue!.shift();
      turn = queue!.peek();
    }
    if (turn === undefined) this.#queues.delete(stream);
    return turn;
  }

  /** Rejects the calls that have timed out. */
  expire(now: number = performance.now()): void {
    for (const turn of this.#turns) {
      if (turn.deadline <= now) {
        turn.fail(timedOut(turn.streams.join(", "), new Error("preparing it, or a call before it, took too long")));
      }
    }
  }

  /** Resolves when no call waits. */
  drained(): Promise<void> {
    return this.busy ? new Promise((resolve) => this.#onIdle.push(resolve)) : Promise.resolve();
  }

  /** Rejects all waiting calls. */
  close(): void {
    for (const turn of this.#turns) turn.fail(closedBefore(turn.streams.join(", ")));
  }
}
