import { accepts, isAnnotation } from "./_accepts.ts";
import { type Conjunction, conjunctionOf } from "./_conjunction.ts";
import { arrayFindings } from "./_covers_array.ts";
import { objectFindings } from "./_covers_object.ts";
import { scalarFindings } from "./_covers_scalar.ts";
import type { Gap } from "./_gap.ts";
import { isSchema, type JsonSchema, type Keywords, sameJson } from "./_schema.ts";
import { alternativesOf, disjoint, hasKeyword, typesOf, valuesOf } from "./_writer.ts";

/** The most comparisons. Schemas that refer to each other could need infinitely many. */
const MOST_STEPS = 20_000;

/** How deep comparisons may be nested. */
const MOST_DEPTH = 100;

/** Finds values that the writer's document allows and the reader's document refuses. */
export class Coverage {
  readonly #writer: unknown;
  readonly #reader: unknown;
  readonly #ids = new WeakMap<object, number>();
  readonly #entered = new Map<string, string>();
  #lastId = 0;
  #steps = 0;

  constructor(writerRoot: unknown, readerRoot: unknown) {
    this.#writer = writerRoot;
    this.#reader = readerRoot;
  }

  /** The reasons why the reader may refuse a value that meets all of the writer's schemas; none if it accepts all such values. */
  gaps(written: readonly JsonSchema[], reader: JsonSchema, path: string): Gap[] {
    if (reader === true || written.includes(false)) return [];
    if (written.some((each) => sameJson(each, reader) && !JSON.stringify(each).includes('"$ref"'))) return [];
    const key = [...written.map((each) => this.#id(each)).sort(), this.#id(reader)].join();
    const before = this.#entered.get(key);
    // This comparison is already running. At a deeper path its result is that of the outer one; at the same path it would
    // never end.
    if (before !== undefined && before !== path) return [];
    const isEndless = before === path || this.#entered.size > MOST_DEPTH || ++this.#steps > MOST_STEPS;
    if (isEndless) return [unknown(path, "whether it is accepted, because its references never end")];
    this.#entered.set(key, path);
    try {
      return distinct(this.#all(written, reader, path));
    } finally {
      this.#entered.delete(key);
    }
  }

  #all(written: readonly JsonSchema[], reader: JsonSchema, path: string): Gap[] {
    const wanted = conjunctionOf(reader, this.#reader);
    const alternatives = alternativesOf(written, this.#writer);
    if (alternatives === undefined) {
      return [unknown(path, "whether it is accepted, because it has too many alternatives")];
    }
    return alternatives.flatMap((all) => {
      const values = valuesOf(all);
      if (values !== undefined) return values.flatMap((value) => this.#value(value, wanted, path));
      if (wanted === undefined) return typesOf(all).length === 0 ? [] : [breaks(path, "no value is accepted here")];
      return wanted.flatMap((keywords) => this.#keywords(all, keywords, path));
    });
  }

  #value(value: unknown, wanted: Conjunction | undefined, path: string): Gap[] {
    const answer = wanted === undefined ? false : accepts(wanted, value, this.#reader);
    if (answer === true) return [];
    const shown = JSON.stringify(value);
    return [answer === false ? breaks(path, `${shown} is refused`) : unknown(path, `whether ${shown} is accepted`)];
  }

  /** Compares one object of the reader's keywords with the writer's schemas, for each type of values. */
  #keywords(all: Conjunction, wanted: Keywords, path: string): Gap[] {
    const { type = undefined } = wanted;
    const given = Array.isArray(type) ? type : [type];
    const types = typesOf(all);
    const fits = (each: string): boolean =>
      type === undefined || given.includes(each) || each === "integer" && given.includes("number") ||
      each === "number" && given.includes("integer") &&
        all.some(({ multipleOf }) => Number.isInteger(multipleOf));
    const refused = types.filter((each) => !fits(each));
    const gaps = types.filter(fits).flatMap((each) => this.#type(all, each, wanted, path));
    if (refused.length === 0) return gaps;
    const shown = types.length >= 6 ? "anything" : refused.join(" or ");
    return [breaks(path, `it may be ${shown}, and only ${given.join(" or ")} is accepted`), ...gaps];
  }

  #type(all: Conjunction, type: string, wanted: Keywords, path: string): Gap[] {
    if (type === "null" || type === "boolean") {
      const values = type === "null" ? [null] : [true, false];
      return values.flatMap((value) => this.#value(value, [wanted], path));
    }
    const gaps: Gap[] = [];
    for (const [keyword, limit] of Object.entries(wanted)) {
      if (keyword === "type" || isAnnotation(keyword)) continue;
      if (keyword === "enum" || keyword === "const") gaps.push(...listed(limit, keyword, path));
      else if (keyword === "anyOf" || keyword === "oneOf") {
        gaps.push(...this.#branches(all, type, keyword, limit, path));
      } else {
        const place = { all, type, keyword, limit, wanted, path, coverage: this, writerRoot: this.#writer };
        const found = scalarFindings(place) ?? arrayFindings(place) ?? objectFindings(place);
        if (found !== undefined) gaps.push(...found);
        else if (keyword === "$ref" || keyword.startsWith("unevaluated") || !hasKeyword(all, keyword, limit)) {
          gaps.push(unknown(path, `what ${keyword} means here`));
        }
      }
    }
    return gaps;
  }

  #branches(all: Conjunction, type: string, keyword: string, limit: unknown, path: string): Gap[] {
    if (!Array.isArray(limit) || !limit.every(isSchema)) return [unknown(path, `what ${keyword} means here`)];
    const one: Conjunction = [...all, { type }];
    const results = limit.map((branch) => this.gaps(one, branch, path));
    const disjoints = limit.map((branch) => {
      const part = conjunctionOf(branch, this.#reader);
      return part === undefined || disjoint(one, this.#writer, part, this.#reader);
    });
    const possible = results.filter((_, at) => !disjoints[at]);
    if (possible.length === 0) return [breaks(path, "it fits none of the alternatives")];
    const best = results.findIndex((gaps) => gaps.every(({ verdict }) => verdict === "note"));
    if (best === -1) {
      return possible.length === 1 ? possible[0]! : [unknown(path, "whether one of the alternatives fits")];
    }
    if (keyword === "oneOf" && disjoints.some((isDisjoint, at) => at !== best && !isDisjoint)) {
      return [unknown(path, "whether more than one of the alternatives fits")];
    }
    return results[best]!;
  }

  #id(schema: JsonSchema): string {
    if (typeof schema === "boolean") return String(schema);
    let id = this.#ids.get(schema);
    if (id === undefined) this.#ids.set(schema, id = ++this.#lastId);
    return String(id);
  }
}

const breaks = (path: string, message: string): Gap => ({ verdict: "breaks", path, message });
const unknown = (path: string, message: string): Gap => ({
  verdict: "unknown",
  path,
  message: `cannot tell ${message}`,
});

function listed(limit: unknown, keyword: string, path: string): Gap[] {
  const values = keyword === "const" ? [limit] : limit;
  return [breaks(path, `it may be a value other than ${JSON.stringify(values).slice(1, -1)}`)];
}

function distinct(gaps: readonly Gap[]): Gap[] {
  return [...new Map(gaps.map((gap) => [JSON.stringify(gap), gap])).values()];
}
