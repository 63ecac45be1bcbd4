import type { ClientKind } from "../../src/redis/clients/detect.ts";
import { KINDS, LABELS } from "../redis/_bench.ts";

/** Runs tasks concurrently and waits for all of them; rejects with the name and the error of the first that failed. */
export async function concurrently<T>(tasks: Readonly<Record<string, () => Promise<T>>>): Promise<T[]> {
  const results = await Promise.allSettled(Object.values(tasks).map((task) => task()));
  return results.map((result, index) => {
    if (result.status === "fulfilled") return result.value;
    const { reason } = result;
    const message = reason instanceof Error ? reason.message : String(reason);
    throw new Error(`${Object.keys(tasks)[index]}: ${message}`, { cause: reason });
  });
}

/** Runs a task with each client concurrently. */
export async function byAllClients<T>(task: (kind: ClientKind, index: number) => Promise<T>): Promise<T[]> {
  return await concurrently(
    Object.fromEntries(KINDS.map((kind, index) => [`by ${LABELS[kind]}`, () => task(kind, index)])),
  );
}
