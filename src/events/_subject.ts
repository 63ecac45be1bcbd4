import { show } from "./_check.ts";
import { isText } from "./_record.ts";

/** Where a class finds the subject of its events: the keys of a path in the detail. */
export type SubjectPath = readonly string[];

/** The keys of a dotted path; a TypeError for anything else. */
export function subjectPath(type: string, path: unknown): SubjectPath {
  if (typeof path === "string" && !path.split(".").includes("")) return Object.freeze(path.split("."));
  throw new TypeError(
    `Cannot define event ${show(type)} with the subject ${
      show(path)
    }: give keys of the detail joined by dots, such as ` +
      `"auctionId" or "auction.id"`,
  );
}

/**
 * The subject of a new event: what its detail has at the path.
 *
 * @param given The subject that the caller gave, which must be the same.
 * @throws {TypeError} If the detail has no valid subject there, or another one than the caller gave.
 */
export function subjectOf(type: string, path: SubjectPath, detail: unknown, given: string | undefined): string {
  const found = subjectIn(path, detail);
  const where = `detail.${path.join(".")}`;
  if (!isText(found)) {
    throw new TypeError(
      `Cannot construct ${show(type)}: its subject, ${where}, is ${show(found)}; give a non-empty string without ` +
        `control characters or lone surrogates`,
    );
  }
  if (given === undefined || given === found) return found;
  throw new TypeError(
    `Cannot construct ${show(type)} with the subject ${show(given)}: the class takes it from ${where}, which is ` +
      `${show(found)}; leave the subject out`,
  );
}

/**
 * Throws unless an event's detail still has its subject at the path: the detail may have been changed since, by the program
 * or by an asynchronous schema.
 */
export function assertSubject(type: string, path: SubjectPath, detail: unknown, subject: string | undefined): void {
  const found = subjectIn(path, detail);
  if (found === subject) return;
  throw new TypeError(
    `Cannot publish ${show(type)} with the subject ${show(subject)}: its detail.${path.join(".")} is ${
      show(found)
    } by now; ` +
      `make a new event of the changed detail`,
  );
}

/** What a detail has at the path; undefined where the path ends early. */
export function subjectIn(path: SubjectPath, detail: unknown): unknown {
  let at = detail;
  for (const key of path) {
    if (typeof at !== "object" || at === null || !Object.hasOwn(at, key)) return undefined;
    at = (at as Record<string, unknown>)[key];
  }
  return at;
}
