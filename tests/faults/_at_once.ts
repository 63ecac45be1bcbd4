import type { ClientKind } from "../../src/redis/clients/detect.ts";
import { KINDS, LABELS } from "../redis/_bench.ts";

/** Does things that mostly wait at once; when all are over, rejects if one did, and says which. */
export async function atOnce<T>(works: Readonly<Record<string, () => Promise<T>>>): Promise<T[]> {
  const results = await Promise.allSettled(Object.values(works).map((work) => work()));
  return results.map((result, index) => {
    if (result.status === "fulfilled") return result.value;
    const { reason } = result;
    const message = reason instanceof Error ? reason.message : String(reason);
    throw new Error(`${Object.keys(works)[index]}: ${message}`, { cause: reason });
  });
}

/** Does the same by each client at once. */
export async function byAllClients<T>(work: (kind: ClientKind, index: number) => Promise<T>): Promise<T[]> {
  return await atOnce(Object.fromEntries(KINDS.map((kind, index) => [`by ${LABELS[kind]}`, () => work(kind, index)])));
}
