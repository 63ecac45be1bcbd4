import type { AppendOptions, Fields, RevisedRecord } from "../../store/mod.ts";
import { StoreError } from "../../store/mod.ts";
import { layoutChanged, PRODUCER_MEMORY, REMEMBERED_BATCHES } from "../../store/_producer.ts";
import { layoutKey, producerKey } from "../_keys.ts";

// When the key of an idle producer expires, in ms. The script extends the expiry only after half of it has passed, so this is
// twice the time that producers are promised.
const PRODUCER_EXPIRY = 2 * PRODUCER_MEMORY;

/**
 * The keys and the first arguments of the scripts that append. A batch without a producer is the only one of its producer.
 *
 * @param own The keys of the script besides those that all of them have.
 */
export function batchHead(
  stream: string,
  { producer, layout }: AppendOptions,
  own: readonly string[] = [],
): { readonly keys: string[]; readonly args: string[] } {
  const { id, sequence, decided, known } = producer ??
    { id: crypto.randomUUID(), sequence: 1, decided: 0, known: false };
  const keys = [stream, producerKey(stream, id), ...own];
  const args = [sequence, decided, known ? 1 : 0, PRODUCER_EXPIRY, REMEMBERED_BATCHES].map(String);
  if (layout !== undefined) {
    keys.push(layoutKey(stream));
    args.push(String(layout));
  }
  return { keys, args };
}

/**
 * Adds the records in runs: names are sent once for each run of records that have the same names, as most records of a
 * batch do.
 */
export function pushRuns(args: string[], records: readonly Fields[]): void {
  for (let from = 0, to: number; from < records.length; from = to) {
    const names = records[from]!;
    for (to = from + 1; to < records.length && sameNames(names, records[to]!);) to++;
    args.push(String(to - from), String(names.length / 2));
    for (let nth = 0; nth < names.length; nth += 2) args.push(names[nth]!);
    for (let at = from; at < to; at++) pushValues(args, records[at]!);
  }
}

/** The same for records with subjects. A subject that is a field of its record, at the same place, is not sent twice. */
export function pushRevisedRuns(args: string[], records: readonly RevisedRecord[]): void {
  for (let from = 0, to: number; from < records.length; from = to) {
    const names = records[from]!.fields;
    const own = subjectAt(records[from]!);
    for (to = from + 1; to < records.length && sameNames(names, records[to]!.fields); to++) {
      if (own > 0 ? records[to]!.fields[2 * own - 1] !== records[to]!.subject : subjectAt(records[to]!) > 0) break;
    }
    args.push(String(to - from), String(names.length / 2), String(own));
    for (let nth = 0; nth < names.length; nth += 2) args.push(names[nth]!);
    for (let at = from; at < to; at++) {
      const { fields, subject } = records[at]!;
      if (own === 0) args.push(subject);
      pushValues(args, fields);
    }
  }
}

/** Which of the fields is the subject, from 1; 0 if none is. */
export function subjectAt({ fields, subject }: Pick<RevisedRecord, "fields" | "subject">): number {
  for (let nth = 0; nth < fields.length; nth += 2) {
    if (fields[nth] === "subject" && fields[nth + 1] === subject) return nth / 2 + 1;
  }
  return 0;
}

function pushValues(args: string[], fields: Fields): void {
  for (let nth = 1; nth < fields.length; nth += 2) args.push(fields[nth]!);
}

function sameNames(a: Fields, b: Fields): boolean {
  if (a.length !== b.length) return false;
  for (let nth = 0; nth < a.length; nth += 2) if (a[nth] !== b[nth]) return false;
  return true;
}

/** The error of the port for an error of the scripts that append. */
export function appendError(error: unknown, stream: string, layout: number | undefined): unknown {
  const message = error instanceof Error ? error.message : "";
  if (message.includes("OUTOFSEQUENCE")) return new StoreError("out-of-sequence", message, { cause: error });
  if (message.includes("LAYOUTCHANGED")) return layoutChanged(stream, layout, error);
  if (message.includes("FORGOTTEN")) return new StoreError("forgotten", message, { cause: error });
  return error;
}
