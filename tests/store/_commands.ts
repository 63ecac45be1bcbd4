import fc from "fast-check";
import type { Outcome, WhenDead } from "../../src/store/mod.ts";

/** A place in a stream. It becomes a position when the command runs. */
export type Place = { readonly at: "beginning" | "now" | "entry" | "between" | "future"; readonly index: number };

/** An outcome of a delivery. */
export type Ending = {
  /** Of an entry of the group's types; others are skipped. */
  readonly kind: Exclude<Outcome["kind"], "skip"> | "hold";
  readonly delay: number;
  /** Whether a retry reports the same attempt as the retry before it. */
  readonly again: boolean;
  /** The version that it is deferred for. */
  readonly version: number;
  /** Whether its key is known. */
  readonly keyed: boolean;
  /** Whether it waits instead of being acknowledged, if a letter holds its key. */
  readonly heeds: boolean;
};

/** A step of a run. */
export type Command =
  | { readonly do: "append"; readonly count: number }
  | {
    readonly do: "revise";
    /** The subjects of its entries, as indexes. */
    readonly subjects: readonly number[];
    /** The subject whose revision is expected, and how far the expected one is from the right one. */
    readonly expected: { readonly subject: number; readonly off: number } | undefined;
    readonly base: number;
  }
  | {
    readonly do: "read subject";
    readonly subject: number;
    readonly from: number;
    readonly to: number | undefined;
    readonly limit: number | undefined;
    readonly reverse: boolean;
  }
  | {
    readonly do: "join";
    readonly group: number;
    readonly name: number;
    readonly lease: number;
    readonly version: number;
    readonly deferTimeout: number;
    readonly exclusive: boolean;
    /** Which types a new group is for, as an index. */
    readonly types: number;
    /** What a new group does with later events of a dead letter's key. */
    readonly whenDead: WhenDead;
    /** Whether it joins for these types and with this `whenDead` also when the group has others. */
    readonly stranger: boolean;
    readonly from: Place;
  }
  | { readonly do: "claim"; readonly member: number; readonly limit: number }
  | { readonly do: "settle"; readonly member: number; readonly endings: readonly Ending[]; readonly late: number }
  | { readonly do: "renew" | "leave" | "crash"; readonly member: number }
  | { readonly do: "advance"; readonly ms: number }
  | {
    readonly do: "trim";
    readonly maxLength: number;
    readonly maxBytes: number;
    readonly maxAge: number;
    readonly force: boolean;
  }
  | { readonly do: "rewind"; readonly group: number; readonly to: Place }
  | {
    readonly do: "alter";
    readonly group: number;
    readonly types: number;
    readonly whenDead: WhenDead | undefined;
  }
  | { readonly do: "redrive" | "discard"; readonly group: number; readonly which: number };

const index = fc.nat(11);
const member = fc.nat(5);
const group = fc.constantFrom(0, 0, 0, 1);
const types = fc.constantFrom(0, 1, 2, 2, 2);
const subject = fc.nat(2);
const place: fc.Arbitrary<Place> = fc.record({
  at: fc.constantFrom("beginning", "now", "entry", "entry", "between", "future"),
  index,
});
const ENDINGS = ["ack", "ack", "expire", "retry", "hold", "release", "dead", "wait", "isolate", "defer"] as const;
const endingOf = (kinds: readonly Ending["kind"][]): fc.Arbitrary<Ending> =>
  fc.record({
    kind: fc.constantFrom(...kinds),
    delay: fc.constantFrom(0, 10, 60, 500),
    again: fc.constantFrom(false, false, true),
    version: fc.constantFrom(2, 3, 10),
    keyed: fc.constantFrom(true, true, true, false),
    heeds: fc.constantFrom(true, true, true, false),
  });
const as = <Name extends Command["do"], T>(name: Name, model: { [K in keyof T]: fc.Arbitrary<T[K]> }) =>
  fc.record({ do: fc.constant(name), ...model });

const settle = (kinds: readonly Ending["kind"][]) =>
  as("settle", { member, endings: fc.array(endingOf(kinds), { minLength: 1, maxLength: 4 }), late: fc.nat(3) });
const claim = as("claim", { member, limit: fc.integer({ min: 1, max: 5 }) });
const pick = (act: "redrive" | "discard") => as(act, { group, which: fc.nat(4) });
const advance = as("advance", { ms: fc.constantFrom(1, 10, 49, 60, 100, 1_000) });
const append = as("append", { count: fc.integer({ min: 1, max: 4 }) });
const joining = {
  group,
  name: fc.nat(2),
  lease: fc.nat(2),
  version: fc.constantFrom(1, 1, 2, 3),
  deferTimeout: fc.constantFrom(0, 90, Infinity),
  exclusive: fc.constantFrom(false, false, true),
  types,
  whenDead: fc.constantFrom("continue", "hold-key", "hold-key"),
  stranger: fc.constantFrom(false, false, false, false, true),
  from: place,
};
const join = as("join", joining);
const anything = fc.oneof(
  { weight: 6, arbitrary: append },
  {
    weight: 4,
    arbitrary: as("revise", {
      subjects: fc.array(subject, { minLength: 1, maxLength: 4 }),
      expected: fc.option(fc.record({ subject, off: fc.constantFrom(0, 0, 0, -1, 1) }), { nil: undefined }),
      base: fc.constantFrom(0, 0, 0, 0, 5, 20),
    }),
  },
  {
    weight: 3,
    arbitrary: as("read subject", {
      subject,
      from: fc.constantFrom(1, 1, 2, 4, 9),
      to: fc.constantFrom(undefined, undefined, 1, 3, 8),
      limit: fc.constantFrom(undefined, undefined, 1, 2),
      reverse: fc.boolean(),
    }),
  },
  { weight: 4, arbitrary: join },
  { weight: 12, arbitrary: claim },
  { weight: 12, arbitrary: settle(ENDINGS) },
  { weight: 2, arbitrary: as("renew", { member }) },
  { weight: 1, arbitrary: as("leave", { member }) },
  { weight: 2, arbitrary: as("crash", { member }) },
  { weight: 5, arbitrary: advance },
  {
    weight: 3,
    arbitrary: as("trim", {
      maxLength: fc.constantFrom(0, 1, 3, 1_000, 1_000),
      maxBytes: fc.constantFrom(0, 20, 60, 150, Infinity, Infinity),
      maxAge: fc.constantFrom(0, 20, 200, Infinity),
      force: fc.constantFrom(false, false, false, true),
    }),
  },
  { weight: 2, arbitrary: as("rewind", { group, to: place }) },
  {
    weight: 3,
    arbitrary: as("alter", {
      group,
      types,
      whenDead: fc.constantFrom(undefined, undefined, "continue", "hold-key", "hold-key"),
    }),
  },
  { weight: 2, arbitrary: pick("redrive") },
  { weight: 1, arbitrary: pick("discard") },
) as fc.Arbitrary<Command>;
const some = (command: fc.Arbitrary<Command>) => fc.array(command, { maxLength: 80, size: "max" });

// In random commands it is rare that a delivery waits behind a letter. So some runs are mostly about held keys.
const holding = as("join", {
  ...joining,
  group: fc.constant(0),
  lease: fc.constant(2),
  types: fc.constant(2),
  whenDead: fc.constant("hold-key"),
  from: fc.constant({ at: "beginning", index: 0 }),
});
const aboutKeys = fc.oneof(
  { weight: 3, arbitrary: append },
  { weight: 6, arbitrary: claim },
  { weight: 6, arbitrary: settle(["ack", "ack", "ack", "dead", "dead", "wait", "retry", "hold", "release"]) },
  { weight: 2, arbitrary: pick("redrive") },
  { weight: 1, arbitrary: pick("discard") },
  { weight: 2, arbitrary: anything },
) as fc.Arbitrary<Command>;

/** Random sequences of commands. They begin with a consumer and entries: else many of the commands would do nothing. */
export const commands: fc.Arbitrary<Command[]> = fc.oneof(
  fc.tuple(join, append, some(anything)),
  fc.tuple(holding, append, some(aboutKeys)),
).map(([first, second, others]) => [first, second, ...others] as Command[]);
