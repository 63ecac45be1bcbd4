/** Who has which partition of a stream. Only {@linkcode planFor} makes one. */
export interface Plan {
  /** The consumers that it was made for, in order of joining. */
  readonly consumers: readonly string[];
  /** How many plans came before it. */
  readonly number: number;
  /** The number of the layout that it was made for. */
  readonly layout: number;
  /** For each partition, whether it is one of the newest layout. */
  readonly live: readonly boolean[];
  /** Where each partition is. */
  readonly partitions: readonly Placement[];
}

/** The partitions of all layouts of a stream. A new layout adds partitions at the end, and removes none. */
export type Partitions = Pick<Plan, "layout" | "live">;

/** Where a partition is, and how it came there. */
export interface Placement {
  /** The consumer that has it; undefined while there is no consumer. */
  readonly owner: string | undefined;
  /** The number of the plan that gave it to its owner. */
  readonly since: number;
  /**
   * True if the owner before left the group, and this owner had partitions of its own already: a consumer that comes takes
   * guests first.
   */
  readonly guest: boolean;
}

/** A consumer, while a plan is made. */
interface Share {
  readonly name: string;
  readonly held: Set<number>;
  /** True if the last plan did not know this consumer. */
  readonly isNew: boolean;
}

/**
 * Spreads partitions over consumers: the shares differ by one at most, and no partition moves without need. Partitions of
 * earlier layouts are spread by themselves, since they have little to do.
 *
 * **Rolling deploys.** A deploy replaces all consumers one by one. It moves each partition at most twice, whether each new
 * consumer starts before or after an old one stops. This is how: the partitions of a consumer that leaves become guests of
 * the other consumers. The next consumer that comes takes exactly these, also where one fewer would be enough for balance.
 * So all other consumers have the same partitions as before, and a guest never waits on a consumer that leaves next.
 *
 * @param last The plan so far, if there is one.
 * @param consumers The living consumers, in order of joining. Consumers are equal if their names are.
 * @returns The last plan itself if it still fits.
 */
export function planFor(last: Plan | undefined, { layout, live }: Partitions, consumers: readonly string[]): Plan {
  const known = new Set(last?.consumers);
  if (
    last !== undefined && last.layout === layout && consumers.length === known.size &&
    consumers.every((name) => known.has(name))
  ) return last;
  const number = (last?.number ?? 0) + 1;
  const placements = live.map((_, partition): Placement =>
    last?.partitions[partition] ?? { owner: undefined, since: 0, guest: false }
  );
  for (const part of [true, false]) {
    const indices = [...live.keys()].filter((partition) => live[partition] === part);
    const shares = consumers.map((name): Share => ({ name, held: new Set(), isNew: !known.has(name) }));
    if (indices.length > 0) spread(placements, indices, shares, number);
  }
  return { consumers: [...consumers], number, layout, live, partitions: placements };
}

/** Spreads the partitions with these indices. */
function spread(placements: Placement[], indices: readonly number[], shares: readonly Share[], number: number): void {
  const byName = new Map(shares.map((share) => [share.name, share]));
  const orphans: number[] = [];
  for (const partition of indices) {
    const { owner } = placements[partition]!;
    const share = owner === undefined ? undefined : byName.get(owner);
    if (share === undefined) orphans.push(partition);
    else share.held.add(partition);
  }

  const give = (partition: number, to: Share, guest: boolean) => {
    to.held.add(partition);
    placements[partition] = { owner: to.name, since: number, guest };
  };
  const take = (partition: number, to: Share) => {
    byName.get(placements[partition]!.owner!)!.held.delete(partition);
    give(partition, to, false);
  };
  const best = (size: number, guestsOf?: number) => bestOf(placements, indices, byName, size, guestsOf);

  // Partitions that moved last go first: the youngest consumers get them, which will leave last in a deploy.
  orphans.sort((a, b) => placements[b]!.since - placements[a]!.since || a - b);
  for (const partition of orphans) {
    const to = least(shares);
    if (to === undefined) placements[partition] = { ...placements[partition]!, owner: undefined };
    else give(partition, to, !to.isNew && to.held.size > 0 && placements[partition]!.owner !== undefined);
  }

  // Consumers with too many partitions give some away; then consumers with too few take some.
  const floor = Math.floor(indices.length / shares.length);
  for (;;) {
    const to = least(shares);
    const partition = to && (best(floor + 2) ?? (to.held.size < floor ? best(floor + 1) : undefined));
    if (partition === undefined) break;
    take(partition, to!);
  }

  // The rest of the last departure's guests, as far as they leave the shares balanced.
  const newcomers = shares.filter(({ isNew }) => isNew);
  const latest = Math.max(0, ...indices.map((nth) => placements[nth]!.guest ? placements[nth]!.since : 0));
  for (;;) {
    const to = least(newcomers);
    const partition = to && best(to.held.size + 1, latest);
    if (partition === undefined) break;
    take(partition, to!);
  }
}

/** The consumer with the fewest partitions, of several the youngest. */
function least(shares: readonly Share[]): Share | undefined {
  return shares.reduce<Share | undefined>(
    (least, share) => least === undefined || share.held.size <= least.held.size ? share : least,
    undefined,
  );
}

/**
 * The partition to move first, of consumers with at least `size` partitions: a guest of the latest departure, or else the
 * partition that has not moved for the longest time.
 *
 * @param guestsOf Only guests that came by the plan of this number.
 */
function bestOf(
  placements: readonly Placement[],
  indices: readonly number[],
  shares: ReadonlyMap<string, Share>,
  size: number,
  guestsOf?: number,
): number | undefined {
  let best: number | undefined;
  let bestRank = -Infinity;
  for (const partition of indices) {
    const { owner, since, guest } = placements[partition]!;
    if (shares.get(owner!)!.held.size < size || guestsOf !== undefined && !(guest && since === guestsOf)) continue;
    const rank = guest ? since : -since;
    if (best === undefined || rank > bestRank) [best, bestRank] = [partition, rank];
  }
  return best;
}
