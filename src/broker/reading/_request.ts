import { checkKeys, checkNumber, checkSignal } from "../../events/_check.ts";
import type { DomainEvent, EventClass } from "../../events/mod.ts";
import { BrokerClosedError } from "../errors.ts";
import type { RequestOptions } from "../request_options.ts";

const OPTIONS = ["reply", "timeout", "signal"];
// Longer waits do not fit into a timer.
const LONGEST = 2 ** 31 - 1;

/** The part of a broker that a request uses. */
export interface Requesting {
  /** The broker, to listen to replies. */
  readonly target: EventTarget;
  /** Aborts when the broker begins to close. */
  readonly closing: AbortSignal;
  /** Resolves when listeners will receive every event of this class that is published from then on. */
  attached(reply: EventClass): Promise<void>;
  publish(event: DomainEvent, signal: AbortSignal): Promise<unknown>;
}

/** Checks the options of a request. Returns its timeout, in milliseconds. */
export function requestTimeout(options: RequestOptions<EventClass>): number {
  checkKeys("request", options ?? {}, OPTIONS);
  const { timeout = 30_000, signal } = options ?? {};
  checkNumber("timeout (ms)", timeout, { min: 1, max: LONGEST });
  checkSignal(signal);
  return timeout;
}

/** Publishes an event, and resolves with the first event of the class `reply` that answers it. */
export async function request(
  { target, closing, attached, publish }: Requesting,
  event: DomainEvent,
  { reply, signal }: RequestOptions<EventClass>,
  timeout: number,
): Promise<DomainEvent> {
  const ended = new AbortController();
  const end = () => ended.abort(signal!.reason);
  const close = () =>
    ended.abort(new BrokerClosedError(`Cannot wait for a reply to ${event.type} ${event.id}: the broker is closing`));
  const timer = setTimeout(() => {
    const why = `no ${reply.type} came within ${timeout} ms; see that its group runs, or wait longer`;
    ended.abort(new DOMException(`Cannot get a reply to ${event.type} ${event.id}: ${why}`, "TimeoutError"));
  }, timeout);
  const failed = new Promise<never>((_, reject) => {
    ended.signal.addEventListener("abort", () => reject(ended.signal.reason));
  });
  failed.catch(() => {});
  let answer: (reply: DomainEvent) => void;
  const answered = new Promise<DomainEvent>((resolve) => answer = resolve);
  const listener = (other: Event) => {
    const { causationId, correlationId } = other as DomainEvent;
    if (causationId === event.id || correlationId === event.id) answer(other as DomainEvent);
  };
  signal?.addEventListener("abort", end);
  closing.addEventListener("abort", close);
  target.addEventListener(reply.type, listener);
  try {
    if (signal?.aborted) end();
    if (closing.aborted) close();
    // A reply that is published before the listener knows where to begin would be missed.
    await Promise.race([attached(reply), failed]);
    const published = publish(event, ended.signal);
    return await Promise.race([published.then(() => answered), failed]);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", end);
    closing.removeEventListener("abort", close);
    target.removeEventListener(reply.type, listener);
  }
}
