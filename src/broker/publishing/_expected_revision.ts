import { checkKeys, checkNumber, show } from "../../events/_check.ts";
import type { DomainEvent } from "../../events/mod.ts";
import type { PublishOptions } from "../options.ts";

/** The revision that a subject must have before a publish. */
export interface ExpectedRevision {
  readonly subject: string;
  /** 0 if the subject must have no event. */
  readonly revision: number;
}

/** Checks the option `expected` of `publish`. */
export function checkExpected(expected: NonNullable<PublishOptions["expected"]>): ExpectedRevision {
  checkKeys("publish with an expected revision", expected, ["subject", "revision"]);
  const { subject, revision } = expected;
  if (typeof subject !== "string" || subject === "") {
    throw new TypeError(`Cannot use ${show(subject)} as expected.subject: give the subject of an event, a string`);
  }
  if (revision === "none") return { subject, revision: 0 };
  if (typeof revision !== "number") {
    throw new TypeError(
      `Cannot use ${show(revision)} as expected.revision: give a number, or "none" for a new subject`,
    );
  }
  checkNumber("expected.revision", revision, { min: 0, max: Number.MAX_SAFE_INTEGER - 1, integer: true });
  return { subject, revision };
}

/**
 * Throws a TypeError unless one append can check the revision and store all events.
 *
 * @param streamOf The stream in the store for an event.
 */
export function assertOneStream(
  events: readonly DomainEvent[],
  { subject }: ExpectedRevision,
  streamOf: (event: DomainEvent) => string,
): void {
  const own = events.find((event) => event.subject === subject);
  if (own === undefined) {
    throw new TypeError(
      `Cannot publish with an expected revision of ${
        show(subject)
      }: no event has this subject; publish an event of it, ` +
        `or leave expected out`,
    );
  }
  const stream = streamOf(own);
  const other = events.find((event) => streamOf(event) !== stream);
  if (other === undefined) return;
  throw new TypeError(
    `Cannot publish with an expected revision of ${show(subject)}: that is stored in ${stream}, and ${
      show(other.type)
    } ` +
      `of ${show(other.subject)} in ${streamOf(other)}; publish events of other streams and partitions apart`,
  );
}
