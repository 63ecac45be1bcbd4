import { type Case, warmUpOf } from "../_case.ts";
import { type Detail, detailsOf } from "../_detail.ts";
import { rolling, windows } from "../_load.ts";
import type { Publisher, System } from "../systems/_system.ts";

/** How many events are published at a time. */
export interface Shape {
  readonly name: string;
  /** How many events one run publishes. */
  readonly count: number;
  run(publisher: Publisher, count: number, detail: (index: number) => Detail): Promise<void>;
}

const inFlight = (lanes: number, count: number): Shape => ({
  name: lanes === 1 ? "one at a time" : `${lanes} in flight`,
  count,
  run: (publisher, count, detail) => rolling(count, lanes, (index) => publisher.send(detail(index))),
});

export const ROLLING_500: Shape = inFlight(500, 50_000);
export const ONE_AT_A_TIME: Shape = inFlight(1, 4_000);

/** The shapes of the cases, each with the number of events that takes about a second on a small machine. */
export const SHAPES: readonly Shape[] = [
  ROLLING_500,
  {
    name: "windows of 500",
    count: 50_000,
    run: (publisher, count, detail) => windows(count, 500, (index) => publisher.send(detail(index))),
  },
  inFlight(50, 25_000),
  ONE_AT_A_TIME,
];

/** Sends batches in the system's own way, one batch after the other. */
export const BATCHES: Shape = {
  name: "windows of 500",
  count: 50_000,
  run: async (publisher, count, detail) => {
    for (let from = 0; from < count; from += 500) {
      const size = Math.min(500, count - from);
      await publisher.sendAll!(Array.from({ length: size }, (_, index) => detail(from + index)));
    }
  },
};

/** Sends one event after the other without waiting, for systems that reply synchronously. */
export const LOOP: Shape = {
  name: "one after the other",
  count: 50_000,
  run: async (publisher, count, detail) => {
    let last: Promise<unknown> | undefined;
    for (let index = 0; index < count; index++) last = publisher.send(detail(index));
    await last;
  },
};

/** Publishes while nothing is consumed. */
export function publishCase(
  system: System,
  shape: Shape,
  bytes: number,
  { against = [], count = shape.count, suffix = "" }: { against?: readonly string[]; count?: number; suffix?: string } =
    {},
): Case {
  return {
    group: `publish ${size(bytes)}, ${shape.name}`,
    name: system.name + suffix,
    count,
    against,
    ...(system.note !== undefined && { note: system.note }),
    setup: async (place, count) => {
      const detail = detailsOf(bytes);
      const publisher = await system.publisher(place);
      return {
        run: async (begin) => {
          await shape.run(publisher, warmUpOf(count), detail);
          begin();
          await shape.run(publisher, count, detail);
        },
        close: () => publisher.close(),
      };
    },
  };
}

/** A size as text, such as `190 B` or `2 KB`. */
export function size(bytes: number): string {
  return bytes < 1_024 ? `${bytes} B` : `${bytes / 1_024} KB`;
}
