/** The sensitive paths of a detail as a tree. A path ends with `true`; everything below it is masked too. */
export type Mask = ReadonlyMap<string, Mask | true>;

/** What stands for a sensitive value. */
export const MASKED = "***";

/** Builds the tree of dotted paths; undefined if there are no paths. */
export function maskOf(paths: readonly string[]): Mask | undefined {
  if (paths.length === 0) return undefined;
  const below = Map.groupBy(paths, (path) => path.split(".", 1)[0]!);
  return new Map([...below].map(([key, group]) => {
    const rest = group.filter((path) => path.length > key.length).map((path) => path.slice(key.length + 1));
    return [key, rest.length < group.length ? true : maskOf(rest)!];
  }));
}

/** A copy of `value` with the sensitive values replaced by `***`. Other parts are shared with the original. */
export function masked(value: unknown, mask: Mask): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map((item) => masked(item, mask));
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => {
      const rule = mask.get(key);
      if (rule === undefined || inner === undefined) return [key, inner];
      return [key, rule === true ? MASKED : masked(inner, rule)];
    }),
  );
}

/** Whether a message about the value at these keys may show a sensitive value: the value itself, or one in or around it. */
export function maskedAt(keys: readonly PropertyKey[], mask: Mask): boolean {
  let rules = mask;
  for (const key of keys) {
    const rule = rules.get(String(key));
    if (rule === true) return true;
    if (rule !== undefined) rules = rule;
    // A path leads through arrays into each element.
    else if (typeof key !== "number" && !/^\d+$/.test(String(key))) return false;
  }
  return true;
}
