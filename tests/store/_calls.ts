import { assertEquals, assertRejects } from "@std/assert";
import { type GroupMember, type Outcome, type Position, StoreError, type StoreErrorKind } from "../../src/store/mod.ts";
import type { Ending } from "./_commands.ts";

/** How a run settles a delivery. */
export interface Settlement extends Pick<Ending, "delay" | "version" | "keyed"> {
  readonly kind: Ending["kind"] | "skip";
  readonly attempt: number;
  readonly key: string;
}

/** The outcome of the port for a settlement. */
export function outcomeOf(
  held: { position: Position; fence: string },
  { kind, attempt, delay, version, key, keyed }: Settlement,
): Outcome {
  if (kind === "hold") return { ...held, kind: "retry", attempt, delay, hold: true };
  if (kind === "retry") return { ...held, kind, attempt, delay };
  if (kind === "release") return { ...held, kind, delay };
  if (kind === "defer") return { ...held, kind, version };
  if (kind === "wait") return { ...held, kind, key };
  if (kind === "dead") {
    const error = { name: "Error", message: "" };
    return { ...held, kind, reason: "attempts", attempts: 1, error, ...(keyed && { key }) };
  }
  return { ...held, kind };
}

/** Claims, and ends the claim after `timeout` milliseconds. */
export async function claimFor(member: GroupMember, limit: number, timeout: number): ReturnType<GroupMember["claim"]> {
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(), timeout);
  const claim = await member.claim({ limit, signal: controller.signal });
  clearTimeout(timer);
  return claim;
}

/** Asserts that a call rejects with a store error of this kind. */
export async function assertRefused(doing: Promise<unknown>, kind: StoreErrorKind): Promise<void> {
  const error = await assertRejects(() => doing, StoreError);
  assertEquals(error.kind, kind);
}
