import { comparePositions, type Position } from "../../src/store/mod.ts";
import { CONSUMING, GROUPS } from "./_chaos_event.ts";
import type { Faults } from "./_chaos_faults.ts";

/** What the logs say about one event. */
interface Story {
  accepted: boolean;
  rejected: boolean;
  uncertain: boolean;
  readonly positions: Set<string>;
  /** When it was handled, by group. */
  readonly handled: Map<string, number[]>;
}

/** Reads the logs of all processes, and finds broken promises. */
export class Verdict {
  readonly stories = new Map<string, Story>();
  /** Unexpected lines: entries lost by trimming, groups lost, subscriptions that ended. */
  readonly unwanted: string[] = [];
  /** How many lines of each kind there are. */
  readonly kinds = new Map<string, number>();
  #lines: (readonly [process: string, line: string])[] = [];

  constructor(logs: ReadonlyMap<string, string>) {
    for (const [process, path] of logs) {
      for (const line of read(path).split("\n")) if (line !== "") this.#take(process, line);
    }
  }

  #take(process: string, line: string): void {
    this.#lines.push([process, line]);
    const [time, kind, a, b, c] = line.split(" ") as [string, string, string, string, string];
    this.kinds.set(kind, (this.kinds.get(kind) ?? 0) + 1);
    if (kind === "entrieslost" || kind === "grouplost" || kind === "over") this.unwanted.push(`${process}: ${line}`);
    if (kind === "try") this.#story(a);
    else if (kind === "accepted") {
      this.#story(a).accepted = true;
      this.#story(a).positions.add(b);
    } else if (kind === "rejected") this.#story(a).rejected = true;
    else if (kind === "uncertain") this.#story(a).uncertain = true;
    else if (kind === "start") this.#story(b).positions.add(c);
    else if (kind === "ok") {
      const times = this.#story(b).handled;
      times.set(a, [...times.get(a) ?? [], Number(time)]);
    }
  }

  #story(id: string): Story {
    let story = this.stories.get(id);
    if (story === undefined) {
      story = { accepted: false, rejected: false, uncertain: false, positions: new Set(), handled: new Map() };
      this.stories.set(id, story);
    }
    return story;
  }

  /** Every broken promise, with the lines of the logs about it. */
  faults(letters: ReadonlyMap<string, ReadonlySet<string>>): string[] {
    const found = [...this.unwanted];
    for (const [id, { accepted, rejected, uncertain, positions, handled }] of this.stories) {
      const wrong: string[] = [];
      if (positions.size > 1) wrong.push(`is stored at ${[...positions].join(" and ")}`);
      if (rejected && !uncertain && positions.size > 0) wrong.push("was rejected, and is stored");
      // A stored event reaches every group, also if its publisher does not know that it is stored.
      for (const group of accepted || positions.size > 0 ? GROUPS : []) {
        if (!handled.has(group) && !letters.get(group)!.has(id)) wrong.push(`is missing in ${group}`);
      }
      if (wrong.length > 0) found.push(`${id} ${wrong.join(", ")}:\n${this.#evidence(id, [...positions])}`);
    }
    return found;
  }

  #evidence(id: string, positions: readonly string[]): string {
    return this.#lines
      .filter(([, line]) => [id, ...positions].some((word) => line.includes(word)))
      .map(([process, line]) => [process, line] as const)
      .sort(([, a], [, b]) => Number(a.split(" ")[0]) - Number(b.split(" ")[0]))
      .map(([process, line]) => `    ${process}: ${line}`)
      .join("\n");
  }

  /** How often events were handled again: because their group was rewound, and for other reasons. */
  repeats({ rewinds }: Faults): { rewound: number; other: number } {
    let [rewound, other] = [0, 0];
    for (const { positions, handled } of this.stories.values()) {
      const [position] = positions as Set<Position>;
      for (const [group, times] of handled) {
        const covered = rewinds.filter((rewind) =>
          rewind.group === group && comparePositions(rewind.to, position!) <= 0 &&
          rewind.at > times[0]! - 1_000
        ).length;
        const again = times.length - 1;
        rewound += Math.min(again, covered);
        other += Math.max(0, again - covered);
      }
    }
    return { rewound, other };
  }
}

/** How many deliveries of one process may be in flight. */
export const IN_FLIGHT = GROUPS.length * CONSUMING.prefetch;

function read(path: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch (error) {
    // The process was killed before it wrote its first line.
    if (error instanceof Deno.errors.NotFound) return "";
    throw error;
  }
}
