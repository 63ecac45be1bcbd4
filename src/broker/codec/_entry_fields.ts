/** The fields of an entry by name: the known fields, and all other fields in `unknown`. */
export interface Entry {
  id?: string;
  payload?: string;
  type?: string;
  version?: string;
  time?: string;
  source?: string;
  subject?: string;
  correlationid?: string;
  causationid?: string;
  traceparent?: string;
  ext?: string;
  revision?: number;
  scheduledfor?: string;
  /** In milliseconds since the epoch. */
  expires?: number;
  /** Fields that this package does not know: frozen, without a prototype. */
  unknown?: Readonly<Record<string, string>>;
}

/** A date and a time with a zone (RFC 3339). */
export const DATE_TIME: RegExp = /^([+-]\d\d)?\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$/i;

/** The time in a field `expires`, in milliseconds since the epoch; undefined if there is none. */
export function expiryOf(text: string | undefined): number | undefined {
  const ms = text !== undefined && DATE_TIME.test(text) ? Date.parse(text) : NaN;
  return Number.isNaN(ms) ? undefined : ms;
}
