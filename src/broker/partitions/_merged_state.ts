import type { ConsumerState, DeferredState, GroupState, Position, StreamState } from "../../store/mod.ts";
import { comparePositions } from "../../store/mod.ts";

/** The state of a stream from those of its partitions: sums, and the oldest and newest of their positions. */
export function mergedState(partitions: readonly StreamState[]): StreamState {
  const groups = Map.groupBy(partitions.flatMap(({ groups }) => groups), ({ name }) => name);
  return {
    length: sumOf(partitions, ({ length }) => length),
    // The user of the store may see the size of all partitions, or of none.
    bytes: partitions.some(({ bytes }) => bytes === undefined) ? undefined : sumOf(partitions, ({ bytes }) => bytes!),
    first: lowest(partitions.map(({ first }) => first)),
    last: highest(partitions.map(({ last }) => last)),
    groups: [...groups.values()].map(mergedGroup),
  };
}

function mergedGroup(parts: readonly GroupState[]): GroupState {
  const [{ name, types, whenDead }] = parts as readonly [GroupState, ...GroupState[]];
  const failures = parts.flatMap(({ oldestDeadLetter }) => oldestDeadLetter ?? []);
  return {
    name,
    types,
    whenDead,
    pending: sumOf(parts, ({ pending }) => pending),
    retrying: sumOf(parts, ({ retrying }) => retrying),
    deferred: mergedDeferred(parts.flatMap(({ deferred }) => deferred)),
    held: {
      keys: sumOf(parts, ({ held }) => held.keys),
      waiting: sumOf(parts, ({ held }) => held.waiting),
      from: lowest(parts.map(({ held }) => held.from)),
    },
    skipped: sumOf(parts, ({ skipped }) => skipped),
    expired: sumOf(parts, ({ expired }) => expired),
    deadLetters: sumOf(parts, ({ deadLetters }) => deadLetters),
    oldestDeadLetter: failures.length === 0 ? undefined : Math.min(...failures),
    lag: sumOf(parts, ({ lag }) => lag),
    lagIsExact: parts.every(({ lagIsExact }) => lagIsExact),
    floor: lowest(parts.map(({ floor }) => floor)),
    control: parts.find(({ control }) => control !== undefined)?.control,
    consumers: mergedConsumers(parts.flatMap(({ consumers }) => consumers)),
  };
}

function mergedDeferred(parts: readonly DeferredState[]): DeferredState[] {
  return [...Map.groupBy(parts, ({ version }) => version)]
    .map(([version, same]) => ({ version, pending: sumOf(same, ({ pending }) => pending) }))
    .sort((a, b) => a.version - b.version);
}

/** A consumer may have another incarnation in each partition. Its name is then given without the incarnation. */
function mergedConsumers(parts: readonly ConsumerState[]): ConsumerState[] {
  const baseOf = ({ name }: ConsumerState) => name.slice(0, name.lastIndexOf("."));
  const consumers = Map.groupBy(parts, (consumer) => `${consumer.alive} ${baseOf(consumer)}`);
  return [...consumers.values()].map((same) => ({
    name: same.every(({ name }) => name === same[0]!.name) ? same[0]!.name : baseOf(same[0]!),
    pending: sumOf(same, ({ pending }) => pending),
    alive: same[0]!.alive,
    stalled: same.some(({ stalled }) => stalled),
  }));
}

function sumOf<T>(parts: readonly T[], numberOf: (part: T) => number): number {
  return parts.reduce((sum, part) => sum + numberOf(part), 0);
}

function lowest(positions: readonly (Position | undefined)[]): Position | undefined {
  return sorted(positions)[0];
}

function highest(positions: readonly (Position | undefined)[]): Position | undefined {
  return sorted(positions).at(-1);
}

function sorted(positions: readonly (Position | undefined)[]): Position[] {
  return positions.filter((position) => position !== undefined).sort(comparePositions);
}
