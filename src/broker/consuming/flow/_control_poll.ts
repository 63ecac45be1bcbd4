// How often the control of a group is read while its consumer makes no claims, in milliseconds.
const INTERVAL = 50;
// After so many turns in which all consumers made claims, the timer stops.
const IDLE_TURNS = 5;

/** Consumers that make no claims now. */
const waiting = new Set<PolledConsumer>();
let consumers = 0;
let timer: ReturnType<typeof setInterval> | undefined;
let idleTurns = 0;

/** A consumer whose control is polled. */
export interface PolledConsumer {
  /** Reads the control of the group. */
  pollControl(): void;
}

/** Polls the controls of groups for consumers that make no claims, since only claims tell of a change. */
export const controlPoll = {
  /** A consumer has started. */
  started(): void {
    consumers++;
  },

  /** A consumer has ended. */
  ended(): void {
    if (--consumers === 0) stop();
  },

  /** Polls for a consumer until `wait` resolves. */
  async during(consumer: PolledConsumer, wait: Promise<void>): Promise<void> {
    waiting.add(consumer);
    // Starting a timer for each wait would cost more than the wait.
    timer ??= setInterval(poll, INTERVAL);
    try {
      await wait;
    } finally {
      waiting.delete(consumer);
    }
  },
};

function poll(): void {
  for (const consumer of waiting) consumer.pollControl();
  idleTurns = waiting.size > 0 ? 0 : idleTurns + 1;
  if (idleTurns >= IDLE_TURNS) stop();
}

function stop(): void {
  clearInterval(timer);
  timer = undefined;
  idleTurns = 0;
}
