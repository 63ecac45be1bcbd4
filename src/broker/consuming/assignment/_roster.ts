import { assertAlterable } from "../../../store/_groups.ts";
import { type SharedState, StoreError } from "../../../store/mod.ts";
import { sleep } from "../../_store_retry.ts";
import { type Partitions, type Placement, type Plan, planFor } from "./_plan.ts";

/** How a group reads the partitions of a stream. */
export type Assignment = "exclusive" | "shared";

/** A consumer of the group. */
export interface Seat {
  /** Unique among all consumers: `<name>.<id>`. */
  readonly name: string;
  /** When its lease ends, in milliseconds since the epoch by the store's clock. */
  readonly until: number;
}

/** What the consumers of a group share about a partitioned stream. */
export interface Roster {
  readonly assignment: Assignment;
  /** Whether the group was made in all partitions. */
  readonly founded: boolean;
  /** In order of joining. */
  readonly seats: readonly Seat[];
  readonly plan: Plan | undefined;
}

/** The wire form of a roster. A plan names consumers by their index, which is -1 for none. */
interface Text {
  readonly assignment: Assignment;
  readonly founded: boolean;
  readonly consumers: readonly (readonly [name: string, until: number])[];
  readonly plan?: {
    readonly number: number;
    readonly layout: number;
    readonly live: readonly (0 | 1)[];
    readonly owners: readonly number[];
    readonly since: readonly number[];
    readonly guests: readonly (0 | 1)[];
  };
}

// After another consumer has written first, the next try comes within this time, in milliseconds.
const RETRY = 20;

/** The roster of a group in the shared state of a stream. */
export class SharedRoster {
  #state: SharedState;
  #place: string;
  /** The roster that was read last: most reads find the same. */
  #last: { readonly version: number; readonly roster: Roster | undefined } | undefined;

  /** @param place Where it is kept, for error messages. */
  constructor(state: SharedState, place: string) {
    this.#state = state;
    this.#place = place;
  }

  /** The roster, and the time by the store's clock. */
  async read(): Promise<{ roster: Roster | undefined; now: number }> {
    const { roster, now } = await this.#read();
    return { roster, now };
  }

  /**
   * Changes the roster in one step. `change` may be called several times; it returns its argument to change nothing.
   *
   * @returns The roster as it is then.
   */
  async update(
    change: (roster: Roster | undefined, now: number) => Roster | undefined,
  ): Promise<Roster | undefined> {
    for (let attempt = 1;; attempt++) {
      const { roster, version, now } = await this.#read();
      const next = change(roster, now);
      if (next === roster) return roster;
      if (await this.#state.write(next && JSON.stringify(toText(next)), version)) return next;
      await sleep(Math.random() * RETRY * attempt);
    }
  }

  async #read(): Promise<{ roster: Roster | undefined; version: number; now: number }> {
    const { text, version, now } = await this.#state.read();
    if (this.#last?.version !== version) this.#last = { version, roster: this.#parse(text) };
    return { ...this.#last, now };
  }

  #parse(text: string | undefined): Roster | undefined {
    if (text === undefined) return undefined;
    try {
      return fromText(JSON.parse(text) as Text);
    } catch (error) {
      throw new Error(
        `Cannot read the consumers of ${this.#place}: the text in the store has another form; delete it while no ` +
          "consumer runs",
        { cause: error },
      );
    }
  }
}

function toText({ assignment, founded, seats, plan }: Roster): Text {
  const consumers = seats.map(({ name, until }) => [name, until] as const);
  if (plan === undefined) return { assignment, founded, consumers };
  const { number, layout, live, partitions } = plan;
  const index = new Map(seats.map(({ name }, nth) => [name, nth]));
  return {
    assignment,
    founded,
    consumers,
    plan: {
      number,
      layout,
      live: live.map((isLive) => isLive ? 1 : 0),
      owners: partitions.map(({ owner }) => owner === undefined ? -1 : index.get(owner)!),
      since: partitions.map(({ since }) => since),
      guests: partitions.map(({ guest }) => guest ? 1 : 0),
    },
  };
}

function fromText({ assignment, founded, consumers, plan }: Text): Roster {
  const seats = consumers.map(([name, until]): Seat => ({ name, until }));
  if (plan === undefined) return { assignment, founded, seats, plan };
  const partitions = plan.owners.map((owner, nth): Placement => ({
    owner: seats[owner]?.name,
    since: plan.since[nth]!,
    guest: plan.guests[nth] === 1,
  }));
  return {
    assignment,
    founded,
    seats,
    plan: {
      consumers: seats.map(({ name }) => name),
      number: plan.number,
      layout: plan.layout,
      live: plan.live.map((bit) => bit === 1),
      partitions,
    },
  };
}

/** A roster with these consumers, and a plan that spreads the partitions over them. */
export function seated(roster: Roster, seats: readonly Seat[], partitions: Partitions): Roster {
  return { ...roster, seats, plan: planFor(roster.plan, partitions, seats.map(({ name }) => name)) };
}

/** Throws unless the group's assignment is this one. */
export function assertAssignment(
  { assignment }: Pick<Roster, "assignment">,
  own: Assignment,
  group: string,
  stream: string,
): void {
  if (assignment === own) return;
  throw new StoreError(
    "assignment-differs",
    `Cannot join group "${group}" of ${stream} with the assignment "${own}": the group's assignment is ` +
      `"${assignment}"; pass assignment: "${assignment}", choose another group, or change the group by alterGroup`,
  );
}

/**
 * Changes the assignment of a group.
 *
 * @throws {StoreError} `"group-busy"` if the group has live consumers.
 */
export async function alterAssignment(
  roster: SharedRoster,
  assignment: Assignment,
  group: string,
  stream: string,
): Promise<void> {
  await roster.update((current, now) => {
    if (current?.assignment === assignment) return current;
    const alive = (current?.seats ?? []).filter(({ until }) => until > now);
    assertAlterable({ name: group, consumers: alive.map(({ name }) => ({ name, alive: true })) }, stream);
    return { assignment, founded: true, seats: [], plan: undefined };
  });
}
