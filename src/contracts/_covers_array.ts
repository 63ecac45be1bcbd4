import type { Conjunction } from "./_conjunction.ts";
import type { Gap, Place } from "./_gap.ts";
import { isSchema, type JsonSchema } from "./_schema.ts";
import { hasKeyword } from "./_writer.ts";

const KEYWORDS = new Set(["items", "prefixItems", "minItems", "maxItems", "uniqueItems"]);

/** The gaps of a keyword for arrays; undefined for any other keyword. */
export function arrayFindings(place: Place): Gap[] | undefined {
  const { all, type, keyword, limit, wanted, path, coverage } = place;
  if (!KEYWORDS.has(keyword)) return undefined;
  if (type !== "array") return [];
  const prefix = Array.isArray(wanted.prefixItems) ? wanted.prefixItems : [];
  const most = Math.min(...numbers(all, "maxItems"), Infinity);
  if (keyword === "prefixItems" && prefix.every(isSchema) && prefix.length > 0) {
    return prefix.slice(0, most).flatMap((schema, at) => coverage.gaps(itemsAt(all, at), schema, `${path}[${at}]`));
  }
  if (keyword === "items" && isSchema(limit)) {
    const longest = Math.max(prefix.length, ...all.map(({ prefixItems: own }) => Array.isArray(own) ? own.length : 0));
    const gaps: Gap[] = [];
    for (let at = prefix.length; at < Math.min(longest, most); at++) {
      gaps.push(...coverage.gaps(itemsAt(all, at), limit, `${path}[${at}]`));
    }
    return most <= longest ? gaps : [...gaps, ...coverage.gaps(itemsAt(all, longest), limit, `${path}[*]`)];
  }
  const holds = keyword === "minItems" && typeof limit === "number"
    ? limit <= 0 || numbers(all, "minItems").some((least) => least >= limit)
    : keyword === "maxItems" && typeof limit === "number"
    ? most <= limit
    : keyword === "uniqueItems" && (limit === false || most <= 1 || hasKeyword(all, "uniqueItems", true));
  return holds ? [] : [{ verdict: "breaks", path, message: `${keyword} ${JSON.stringify(limit)} is not guaranteed` }];
}

/** The writer's schemas for the item at this index. */
function itemsAt(all: Conjunction, at: number): JsonSchema[] {
  return all.flatMap(({ prefixItems, items }) => {
    const own: unknown = Array.isArray(prefixItems) && at < prefixItems.length ? prefixItems[at] : items;
    return isSchema(own) ? [own] : [];
  });
}

function numbers(all: Conjunction, keyword: string): number[] {
  return all.map((each) => each[keyword]).filter((value) => typeof value === "number");
}
