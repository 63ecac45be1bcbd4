import { Coverage } from "./_covers.ts";
import type { Gap } from "./_gap.ts";
import { type Change, joined, moved } from "./_placement.ts";
import type { Catalogue, Contract } from "./catalogue.ts";

/** How a change of one type affects old readers or old entries. */
export interface Finding {
  /** The type of the events. */
  readonly type: string;
  /** What is affected: processes that still run the old classes, or entries that the old classes stored. */
  readonly side: "old readers" | "old entries";
  /**
   * `breaks`: some values are refused. `unknown`: it cannot be decided by the schemas, so check it yourself. `note`: the
   * change is allowed, and the message says what to expect. `safe`: all values are accepted.
   */
  readonly verdict: "breaks" | "unknown" | "note" | "safe";
  /** The path within the detail: "detail.items[*].price". */
  readonly path?: string;
  /** The reason. */
  readonly message: string;
}

/**
 * Compares two catalogues: do old readers accept new events, and do new readers accept old entries? A class that moved to
 * another stream, or takes its subject from another path, breaks both. The verdict `safe` covers
 * only rules that JSON Schema expresses. Refinements and upcasters that are written in code are not compared.
 *
 * @example A field that became required
 * ```ts
 * import { defineEvent } from "@tidings/broker";
 * import { catalogue, compare } from "@tidings/broker/contracts";
 * import { assertEquals } from "@std/assert";
 * import { z } from "zod";
 *
 * const Old = defineEvent("BidPlaced", { schema: z.object({ cents: z.int() }) });
 * const New = defineEvent("BidPlaced", { schema: z.object({ cents: z.int(), currency: z.string() }) });
 *
 * const findings = compare(await catalogue("old", [Old]), await catalogue("new", [New]));
 * assertEquals(findings.filter(({ verdict }) => verdict === "breaks"), [{
 *   type: "BidPlaced",
 *   side: "old entries",
 *   verdict: "breaks",
 *   path: "detail.currency",
 *   message: "it may be missing, but it is required",
 * }]);
 * ```
 *
 * @param before The catalogue of the classes that wrote the stored entries.
 * @param after The catalogue of the new classes.
 * @returns At least one finding for each type and side.
 */
export function compare(before: Catalogue, after: Catalogue): Finding[] {
  const [old, next] = [byType(before), byType(after)];
  return [...new Set([...old.keys(), ...next.keys()])].sort().flatMap((type) => {
    const [was, is] = [old.get(type), next.get(type)];
    const readers = finder(type, "old readers");
    const entries = finder(type, "old entries");
    if (was === undefined) {
      const joins = joined(is!, old.values());
      return [
        ...decided(readers, told(readers, joins.readers), "the type is new"),
        ...decided(entries, told(entries, joins.entries), "the type is new"),
      ];
    }
    if (is === undefined) {
      return [
        readers("note", "the type was removed: old readers receive no new events of it"),
        entries("breaks", "the type was removed: no class reads its stored entries"),
      ];
    }
    const moves = moved(was, is);
    return [
      ...decided(readers, [
        ...told(readers, moves.readers),
        ...readerFindings(before, was, after, is, readers),
        ...encrypted(was, is, readers),
      ]),
      ...decided(entries, [
        ...told(entries, moves.entries),
        ...entryFindings(before, was, after, is, entries),
        ...encrypted(is, was, entries),
      ]),
    ];
  });
}

type Finder = (verdict: Finding["verdict"], message: string, path?: string) => Finding;

function finder(type: string, side: Finding["side"]): Finder {
  return (verdict, message, path) => ({ type, side, verdict, ...(path !== undefined && { path }), message });
}

function byType({ $defs }: Catalogue): Map<string, Contract> {
  const newest = new Map<string, Contract>();
  for (const contract of Object.values($defs)) {
    const other = newest.get(contract["x-type"]);
    if (other === undefined || other["x-version"] < contract["x-version"]) newest.set(contract["x-type"], contract);
  }
  return newest;
}

const decided = (find: Finder, found: Finding[], otherwise = "every written value is accepted"): Finding[] =>
  found.length > 0 ? found : [find("safe", otherwise)];

const told = (find: Finder, changes: readonly Change[]): Finding[] =>
  changes.map(({ verdict, message }) => find(verdict, message));

function readerFindings(before: Catalogue, was: Contract, after: Catalogue, is: Contract, find: Finder): Finding[] {
  const [from, to] = [was["x-version"], is["x-version"]];
  if (to > from) return [find("note", `old readers defer version ${to} until a consumer with the new class runs`)];
  if (to < from) return steps(was, to, from, find);
  return gaps(after, is, before, was, find);
}

function entryFindings(before: Catalogue, was: Contract, after: Catalogue, is: Contract, find: Finder): Finding[] {
  const [from, to] = [was["x-version"], is["x-version"]];
  if (to < from) {
    return [find("breaks", `stored entries have version ${from}, and the class reads versions up to ${to}`)];
  }
  const removed = was["x-upcasts"].filter((version) => !is["x-upcasts"].includes(version));
  const missing = removed.map((version) => find("breaks", `the class no longer upcasts version ${version}`));
  return [...missing, ...(to === from ? gaps(before, was, after, is, find) : steps(is, from, to, find))];
}

function steps(reader: Contract, from: number, to: number, find: Finder): Finding[] {
  if (!reader["x-upcasts"].includes(from)) {
    return [find("breaks", `the class has no upcaster from version ${from} to ${to}`)];
  }
  return [find("note", `code upcasts version ${from} to ${to}, which is not compared: test it with stored entries`)];
}

function gaps(from: Catalogue, writer: Contract, to: Catalogue, reader: Contract, find: Finder): Finding[] {
  const open = writer["x-open"] ?? reader["x-open"];
  if (open !== undefined) {
    const verdict = writer["x-open"] === reader["x-open"] ? "note" : "unknown";
    return [find(verdict, `it cannot be compared: ${open}`, "detail")];
  }
  const found: Gap[] = new Coverage(from, to).gaps([keywords(writer)], accepted(reader), "detail");
  return found.map(({ verdict, message, path }) => find(verdict, message, path));
}

function accepted(contract: Contract): { readonly [keyword: string]: unknown } {
  return contract["x-accepts"] ?? keywords(contract);
}

function keywords(contract: Contract): { readonly [keyword: string]: unknown } {
  return Object.fromEntries(Object.entries(contract).filter(([key]) => !key.startsWith("x-")));
}

function encrypted(reader: Contract, writer: Contract, find: Finder): Finding[] {
  if (writer["x-encrypted"] !== true) return [];
  const unread = reader["x-encrypted"] === true
    ? writer["x-sensitive"].filter((path) => !reader["x-sensitive"].includes(path))
    : writer["x-sensitive"];
  return unread.map((path) =>
    find("unknown", "it is stored encrypted, and the reading class does not declare it as encrypted", `detail.${path}`)
  );
}
