import { accepts } from "./_accepts.ts";
import { type Conjunction, conjunctionOf } from "./_conjunction.ts";
import type { Gap, Place } from "./_gap.ts";
import { isObject, isSchema, type JsonSchema } from "./_schema.ts";

type Rule = (place: Place) => Gap[];

/** The gaps of a keyword for objects; undefined for any other keyword. */
export function objectFindings(place: Place): Gap[] | undefined {
  if (!Object.hasOwn(RULES, place.keyword)) return undefined;
  return place.type === "object" ? RULES[place.keyword]!(place) : [];
}

const RULES: Readonly<Record<string, Rule>> = {
  required({ all, limit, path }) {
    const given = required(all);
    const names = Array.isArray(limit) ? limit.filter((name) => !given.has(name)) : [];
    return names.map((name) => breaks(inside(path, name), "it may be missing, but it is required"));
  },

  properties({ all, limit, wanted, path, coverage }) {
    if (!isObject(limit)) return [unknown(path, "properties")];
    const asked = Array.isArray(wanted.required) ? wanted.required : [];
    return Object.entries(limit).flatMap(([name, schema]) => {
      if (!isSchema(schema)) return [unknown(inside(path, name), "its schema")];
      const written = property(all, name);
      // The writer does not declare the field, so the field is rarely present. If the reader requires it, the rule for
      // `required` reports that.
      const gaps = coverage.gaps(written, schema, inside(path, name));
      if (declared(all, name) || gaps.length === 0) return gaps;
      return asked.includes(name) && !required(all).has(name) ? [] : [undeclared(inside(path, name))];
    });
  },

  additionalProperties({ all, limit, wanted, path, coverage }) {
    if (!isSchema(limit) || isObject(wanted.patternProperties)) return [unknown(path, "additionalProperties")];
    const known = isObject(wanted.properties) ? wanted.properties : {};
    const names = declaredNames(all).filter((name) => !Object.hasOwn(known, name));
    const gaps = names.flatMap((name) => {
      const found = coverage.gaps(property(all, name), limit, inside(path, name));
      return limit === false && found.length > 0 ? [breaks(inside(path, name), "this field is not accepted")] : found;
    });
    const rest = coverage.gaps(additional(all), limit, `${path}[*]`);
    if (rest.length === 0) return gaps;
    return [...gaps, ...(explicit(all) ? rest : [undeclared(`${path}[*]`)])];
  },

  propertyNames({ all, limit, path, coverage }) {
    if (!isSchema(limit)) return [unknown(path, "propertyNames")];
    const gaps: Gap[] = [];
    for (const name of declaredNames(all)) {
      const value: JsonSchema[] = property(all, name).includes(false) ? [false] : [{ const: name }];
      gaps.push(...coverage.gaps(value, limit, inside(path, name)));
    }
    if (closed(all)) return gaps;
    const names = all.map(({ propertyNames }) => propertyNames).filter(isSchema);
    const rest = coverage.gaps([{ type: "string" }, ...names], limit, `${path}[*]`);
    return rest.length === 0 ? gaps : [...gaps, ...(explicit(all) ? rest : [undeclared(`${path}[*]`)])];
  },

  minProperties({ all, limit, path }) {
    const least = Math.max(required(all).size, ...numbers(all, "minProperties"));
    return typeof limit === "number" && least >= limit ? [] : [breaks(path, `it may have fewer fields than ${limit}`)];
  },

  maxProperties({ all, limit, path }) {
    const most = Math.min(closed(all) ? declaredNames(all).length : Infinity, ...numbers(all, "maxProperties"));
    return typeof limit === "number" && most <= limit ? [] : [breaks(path, `it may have more fields than ${limit}`)];
  },
};

const breaks = (path: string, message: string): Gap => ({ verdict: "breaks", path, message });
const unknown = (path: string, what: string): Gap => ({
  verdict: "unknown",
  path,
  message: `cannot tell what ${what} means here`,
});
const undeclared = (path: string): Gap => ({
  verdict: "note",
  path,
  message: "the writer does not declare this field, and the reader does not accept every value of it",
});

function inside(path: string, name: string): string {
  return /^[\w$-]+$/.test(name) ? `${path}.${name}` : `${path}[${JSON.stringify(name)}]`;
}

function numbers(all: Conjunction, keyword: string): number[] {
  return all.map((each) => each[keyword]).filter((value) => typeof value === "number");
}

function required(all: Conjunction): Set<string> {
  return new Set(all.flatMap((each) => Array.isArray(each.required) ? each.required : []));
}

function own(schemas: unknown, name: string): unknown {
  return isObject(schemas) && Object.hasOwn(schemas, name) ? schemas[name] : undefined;
}

function matching(patterns: unknown, name: string): unknown[] {
  if (!isObject(patterns)) return [];
  // An invalid pattern may match any name, and its schema is unknown.
  return Object.entries(patterns).flatMap(([pattern, schema]) => {
    const answer = accepts([{ pattern }], name, undefined);
    return answer === false ? [] : [answer === undefined ? true : schema];
  });
}

/** The writer's schemas for the field of this name. */
function property(all: Conjunction, name: string): JsonSchema[] {
  return all.flatMap(({ properties, patternProperties, additionalProperties }) => {
    const schemas = [own(properties, name), ...matching(patternProperties, name)].filter((each) => each !== undefined);
    return (schemas.length > 0 ? schemas : [additionalProperties]).filter(isSchema);
  });
}

/** The writer's schemas for fields that it does not name. */
function additional(all: Conjunction): JsonSchema[] {
  return all.flatMap(({ additionalProperties, patternProperties }) =>
    isSchema(additionalProperties) && !isObject(patternProperties) ? [additionalProperties] : []
  );
}

function declaredNames(all: Conjunction): string[] {
  const named = all.flatMap(({ properties }) => isObject(properties) ? Object.keys(properties) : []);
  return [...new Set([...named, ...required(all)])];
}

/** Whether the writer's contract has a schema for this field, or excludes it. */
function declared(all: Conjunction, name: string): boolean {
  return property(all, name).length > 0 || explicit(all);
}

/** Whether the writer's contract has a schema for the fields that it does not name. */
function explicit(all: Conjunction): boolean {
  return all.some(({ additionalProperties, patternProperties }) =>
    additionalProperties !== undefined || isObject(patternProperties)
  );
}

/** Whether the writer's contract excludes the fields that it does not name. */
function closed(all: Conjunction): boolean {
  return additional(all).some((schema) => schema === false || conjunctionOf(schema, undefined) === undefined);
}
