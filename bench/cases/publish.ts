import { type Case, warmUpOf } from "../_case.ts";
import { type Detail, detailsOf } from "../_detail.ts";
import { rolling, windows } from "../_load.ts";
import type { Publisher, System } from "../systems/_system.ts";

/** How publishing is asked for. */
export interface Shape {
  readonly name: string;
  /** How many events one run of it takes. */
  readonly count: number;
  run(publisher: Publisher, count: number, detail: (index: number) => Detail): Promise<void>;
}

const inFlight = (lanes: number, count: number): Shape => ({
  name: lanes === 1 ? "one at a time" : `${lanes} in flight`,
  count,
  run: (publisher, count, detail) => rolling(count, lanes, (index) => publisher.send(detail(index))),
});

export const ROLLING_500: Shape = inFlight(500, 50_000);

/** Each its own case, with what one run of it takes on a small machine: about a second. */
export const SHAPES: readonly Shape[] = [
  ROLLING_500,
  {
    name: "windows of 500",
    count: 50_000,
    run: (publisher, count, detail) => windows(count, 500, (index) => publisher.send(detail(index))),
  },
  inFlight(50, 25_000),
  inFlight(1, 4_000),
];

/** In the system's own way of sending many at once, one batch after the other. */
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

/** One after the other, for what answers at once. */
export const LOOP: Shape = {
  name: "one after the other",
  count: 50_000,
  run: async (publisher, count, detail) => {
    let last: Promise<unknown> | undefined;
    for (let index = 0; index < count; index++) last = publisher.send(detail(index));
    await last;
  },
};

/** Publishing alone, nobody listening. */
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

/** `190 B`, `2 KB`. */
export function size(bytes: number): string {
  return bytes < 1_024 ? `${bytes} B` : `${bytes / 1_024} KB`;
}
