import type { Place } from "./_case.ts";

/** The task of a child process of the bench. */
export type Role =
  | {
    readonly do: "publish";
    readonly system: string;
    readonly place: Place;
    readonly bytes: number;
    readonly count: number;
  }
  | {
    readonly do: "consume";
    readonly system: string;
    readonly place: Place;
    readonly count: number;
    readonly concurrency: number;
  }
  | {
    readonly do: "share";
    readonly place: Place;
    readonly partitions: number;
    readonly ms: number;
    readonly concurrency: number;
  }
  | { readonly do: "hold"; readonly system: string; readonly place: Place; readonly lease?: number }
  | { readonly do: "ping"; readonly place: Place };
