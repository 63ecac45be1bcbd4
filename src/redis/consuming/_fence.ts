import type { Outcome } from "../../store/mod.ts";

/**
 * Which delivery this is: how much had been taken from its consumer when it was claimed, the group's epoch then, the
 * server's delivery count, and whether an ack is all that it takes to settle it, since the group keeps no line on it.
 */
export interface Fence {
  readonly takings: string;
  readonly epoch: string;
  readonly count: string;
  readonly plain: boolean;
}

/** A fence as the engine carries it. */
export function fenceText(takings: number, epoch: number, count: number, plain: boolean): string {
  return `${takings}:${epoch}:${count}:${plain ? 0 : 1}`;
}

export function parseFence(fence: string): Fence {
  const [takings, epoch, count, kept] = fence.split(":") as [string, string, string, string];
  return { takings, epoch, count, plain: kept === "0" };
}

/** Whether the delivery is held all the same once this outcome is known. */
export function staysHeld(outcome: Outcome): boolean {
  return outcome.kind === "isolate" || outcome.kind === "retry" && outcome.hold === true;
}

/** An outcome, as the script takes it. */
export function outcomeArgs(outcome: Outcome): string[] {
  const { epoch, count } = parseFence(outcome.fence);
  const { kind, position } = outcome;
  const name = kind === "retry" && outcome.hold ? "hold" : kind;
  const delay = kind === "retry" || kind === "release" ? String(Math.round(outcome.delay ?? 0)) : "0";
  const details = kind === "dead"
    ? [outcome.reason, String(outcome.attempts), JSON.stringify(outcome.error)]
    : ["", numberOf(outcome), ""];
  return [name, position, epoch, count, delay, ...details];
}

function numberOf(outcome: Outcome): string {
  if (outcome.kind === "retry") return String(outcome.attempt);
  return outcome.kind === "defer" ? String(outcome.version) : "";
}
