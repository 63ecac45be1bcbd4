import type { RateLimit } from "../../../store/mod.ts";

/** Why and until when a group is paused. Times are the store's, in milliseconds since the epoch. */
export interface GroupPause {
  readonly since: number;
  readonly until?: number;
  readonly reason?: string;
}

/** What operators and consumers have set for a group: the content of its control in the store. */
export interface Control {
  /** The pause is over after its `until`. */
  readonly paused?: GroupPause;
  /** Replaces the limits that subscriptions have. */
  readonly rate?: RateLimit;
  /** What a newer release has set, which is kept. */
  readonly [other: string]: unknown;
}

/** Reads the text of a control. A text that this release cannot read controls nothing. */
export function parseControl(text: string | undefined): Control {
  if (text === undefined) return {};
  let control: unknown;
  try {
    control = JSON.parse(text);
  } catch {
    return {};
  }
  if (typeof control !== "object" || control === null || Array.isArray(control)) return {};
  const { paused, rate, ...rest } = control as { readonly paused?: unknown; readonly rate?: unknown };
  return { ...rest, ...(isPause(paused) && { paused }), ...(isRate(rate) && { rate }) };
}

function isRate(rate: unknown): rate is RateLimit {
  if (typeof rate !== "object" || rate === null) return false;
  const { limit, per, burst = 1 } = rate as Partial<Record<string, unknown>>;
  return [limit, per, burst].every((number) => typeof number === "number" && number > 0);
}

function isPause(pause: unknown): pause is GroupPause {
  if (typeof pause !== "object" || pause === null) return false;
  const { since, until, reason } = pause as Partial<Record<string, unknown>>;
  return typeof since === "number" && (until === undefined || typeof until === "number") &&
    (reason === undefined || typeof reason === "string");
}

/** The text of a control; undefined if it says nothing. */
export function controlText(control: Control): string | undefined {
  return Object.keys(control).length === 0 ? undefined : JSON.stringify(control);
}

/** The pause of a control that is not over at this time. */
export function pauseAt({ paused }: Control, now: number): GroupPause | undefined {
  return paused?.until !== undefined && paused.until <= now ? undefined : paused;
}
