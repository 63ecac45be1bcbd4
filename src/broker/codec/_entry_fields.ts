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
  /** Fields that this package does not know: frozen, without a prototype. */
  unknown?: Readonly<Record<string, string>>;
}
