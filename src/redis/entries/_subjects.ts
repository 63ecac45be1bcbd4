import type { Position, Revised, RevisedOptions, RevisedRecord, StoredRecord, SubjectRange } from "../../store/mod.ts";
import { conflict } from "../../store/_producer.ts";
import { batchHead, pushRevisedRuns } from "./_batches.ts";
import { marksKey, subjectsKey } from "../_keys.ts";
import { parseEntries, positionsFrom } from "../connection/_replies.ts";
import type { Route } from "../connection/_topology.ts";
import type { Reply } from "../connection/client.ts";
import { READ_SUBJECT } from "../scripts/entries/read_subject.ts";

// The most entries and bytes of one reply. A script that reads upwards finds no more entries than two marks are apart.
const PAGE = 200;
const PAGE_BYTES = 2 ** 20;

/** The keys and the arguments of APPEND_REVISED. */
export function revisedBatch(
  stream: string,
  records: readonly RevisedRecord[],
  options: RevisedOptions,
): { readonly keys: string[]; readonly args: string[] } {
  const { keys, args } = batchHead(stream, options, [subjectsKey(stream), marksKey(stream)]);
  if (records.length === 0) return { keys, args };
  const { expected } = options;
  args.push(expected?.subject ?? "", expected === undefined ? "" : String(expected.revision));
  const bases = new Map<string, number>();
  for (const { subject, base = 0 } of records) {
    if (base > (bases.get(subject) ?? 0)) bases.set(subject, base);
  }
  args.push(String(bases.size));
  for (const [subject, base] of bases) args.push(subject, String(base));
  pushRevisedRuns(args, records);
  return { keys, args };
}

/** Reads the reply of APPEND_REVISED. */
export function revisedOf(reply: Reply, stream: string, { expected }: RevisedOptions): readonly Revised[] {
  const [first, ...revisions] = reply as readonly [string?, ...string[]];
  if (first === undefined) return [];
  if (first === "conflict") throw conflict(stream, expected, Number(revisions[0]));
  const positions = positionsFrom(first, revisions.length);
  return positions.map((position, nth) => ({ position, revision: Number(revisions[nth]) }));
}

/** The last revision of a subject. */
export async function lastRevision(link: Route, stream: string, subject: string): Promise<number> {
  const [head] = await link.send(["HMGET", subjectsKey(stream), subject]) as readonly [string | null];
  return Number(head?.split(" ")[0] ?? 0);
}

/** Reads the entries of a subject. */
export async function* readSubject(
  link: Route,
  stream: string,
  subject: string,
  { fromRevision = 1, toRevision, limit = Infinity, reverse = false, signal }: SubjectRange,
): AsyncGenerator<readonly StoredRecord[]> {
  const keys = [stream, subjectsKey(stream), marksKey(stream)];
  let low = String(fromRevision);
  const high = toRevision === undefined ? "" : String(toRevision);
  let at = "";
  for (let left = limit; left > 0;) {
    signal?.throwIfAborted();
    const count = String(Math.min(PAGE, left));
    const args = [subject, low, high, count, String(PAGE_BYTES), reverse ? "1" : "0", at];
    const [next, entries] = await READ_SUBJECT.run(link, keys, args) as readonly [Position | "" | string, Reply];
    signal?.throwIfAborted();
    const page = parseEntries(entries);
    left -= page.length;
    if (page.length > 0) yield page;
    if (next === "") return;
    if (reverse) at = next;
    else low = next;
  }
}
