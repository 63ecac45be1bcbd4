import { Coverage } from "./_covers.ts";
import type { Gap } from "./_gap.ts";
import type { Catalogue, Contract } from "./catalogue.ts";

/** What a change means for one type. */
export interface Finding {
  /** The type of the events. */
  readonly type: string;
  /** The side that is affected: processes with the old classes, or entries that were stored by them. */
  readonly side: "old readers" | "old entries";
  /** `breaks`: some are refused. `unknown`: check it yourself. `note`: worth knowing. `safe`: all are accepted. */
  readonly verdict: "breaks" | "unknown" | "note" | "safe";
  /** The path within the detail: "detail.items[*].price". */
  readonly path?: string;
  /** The reason. */
  readonly message: string;
}

/**
 * Compares two catalogues: whether old readers accept new events, and whether new readers accept old entries. The verdict
 * `safe` covers only what JSON Schema expresses: refinements and upcasters written in code are not seen.
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
 *   message: "it may be missing, and it is required",
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
    if (was === undefined) return [readers("safe", "the type is new"), entries("safe", "the type is new")];
    if (is === undefined) {
      return [
        readers("note", "the type is gone: old readers get no more events of it"),
        entries("breaks", "the type is gone: its stored entries have no reader"),
      ];
    }
    return [
      ...decided(readers, [...readerFindings(before, was, after, is, readers), ...encrypted(was, is, readers)]),
      ...decided(entries, [...entryFindings(before, was, after, is, entries), ...encrypted(is, was, entries)]),
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

const decided = (find: Finder, found: Finding[]): Finding[] =>
  found.length > 0 ? found : [find("safe", "every written value is accepted")];

function readerFindings(before: Catalogue, was: Contract, after: Catalogue, is: Contract, find: Finder): Finding[] {
  const [from, to] = [was["x-version"], is["x-version"]];
  if (to > from) return [find("note", `version ${to} is deferred until a consumer knows it`)];
  if (to < from) return steps(was, to, from, find);
  return gaps(after, is, before, was, find);
}

function entryFindings(before: Catalogue, was: Contract, after: Catalogue, is: Contract, find: Finder): Finding[] {
  const [from, to] = [was["x-version"], is["x-version"]];
  if (to < from) return [find("breaks", `version ${from} is stored, and the class knows up to ${to}`)];
  const lost = was["x-upcasts"].filter((version) => !is["x-upcasts"].includes(version));
  const missing = lost.map((version) => find("breaks", `version ${version} was upcast, and no longer is`));
  return [...missing, ...(to === from ? gaps(before, was, after, is, find) : steps(is, from, to, find))];
}

function steps(reader: Contract, from: number, to: number, find: Finder): Finding[] {
  if (!reader["x-upcasts"].includes(from)) {
    return [find("breaks", `the class has no upcaster from version ${from} to ${to}`)];
  }
  return [find("note", `version ${from} is upcast to ${to} by code, which is not seen: test it with stored entries`)];
}

function gaps(from: Catalogue, writer: Contract, to: Catalogue, reader: Contract, find: Finder): Finding[] {
  const open = writer["x-open"] ?? reader["x-open"];
  if (open !== undefined) {
    const verdict = writer["x-open"] === reader["x-open"] ? "note" : "unknown";
    return [find(verdict, `nothing can be compared: ${open}`, "detail")];
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
  return unread.map((path) => find("unknown", "it is encrypted, and the class may not decrypt it", `detail.${path}`));
}
