import type { Outcome } from "../../store/mod.ts";

/** The parts of a fence: they identify one delivery by the state in which its consumer claimed it. */
export interface Fence {
  /** The consumer's generation, which rises whenever deliveries are taken from the consumer. */
  readonly generation: string;
  /** The group's epoch, which rises with each rewind. */
  readonly epoch: string;
  /** The server's delivery count of the entry. */
  readonly count: string;
  /** Whether XACK alone settles the delivery, because the group keeps no further state of it. */
  readonly plain: boolean;
}

/** Writes a fence as the text that the engine carries. */
export function fenceText(generation: number, epoch: number, count: number, plain: boolean): string {
  return `${generation}:${epoch}:${count}:${plain ? 0 : 1}`;
}

/** Reads a fence that `fenceText` wrote. */
export function parseFence(fence: string): Fence {
  const [generation, epoch, count, kept] = fence.split(":") as [string, string, string, string];
  return { generation, epoch, count, plain: kept === "0" };
}

/** Whether the consumer still holds the delivery after this outcome. */
export function staysHeld(outcome: Outcome): boolean {
  return outcome.kind === "isolate" || outcome.kind === "retry" && outcome.hold === true;
}

/** The eight arguments of an outcome for the script SETTLE. */
export function outcomeArgs(outcome: Outcome): string[] {
  const { epoch, count } = parseFence(outcome.fence);
  const { kind, position } = outcome;
  const keyed = kind === "wait" || kind === "dead" ? outcome.key : undefined;
  const name = kind === "retry" && outcome.hold ? "hold" : kind === "dead" && keyed !== undefined ? "deadkey" : kind;
  const delay = kind === "retry" || kind === "release" ? String(Math.round(outcome.delay ?? 0)) : keyed ?? "0";
  const details = kind === "dead"
    ? [outcome.reason, String(outcome.attempts), JSON.stringify(outcome.error)]
    : ["", numberOf(outcome), ""];
  return [name, position, epoch, count, delay, ...details];
}

function numberOf(outcome: Outcome): string {
  if (outcome.kind === "retry") return String(outcome.attempt);
  return outcome.kind === "defer" ? String(outcome.version) : "";
}
