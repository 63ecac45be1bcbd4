import { LABELS } from "../../tests/redis/_bench.ts";
import type { ClientKind } from "../../src/redis/clients/detect.ts";
import type { System } from "./_system.ts";
import { bullMqSystem } from "./bullmq.ts";
import { moleculerSystem } from "./moleculer.ts";
import { rawSystem } from "./raw.ts";
import { memorySystem, redisSystem, sqliteSystem } from "./tidings.ts";

/** A client alone, and the broker over that client. */
export interface Pair {
  readonly client: ClientKind;
  readonly raw: System;
  readonly tidings: System;
}

export const PAIRS: readonly Pair[] = (Object.keys(LABELS) as ClientKind[]).map((client) => {
  return { client, raw: rawSystem(client), tidings: redisSystem(client) };
});

/** The pair that most cases use. */
export const NODE_REDIS: Pair = PAIRS.find(({ client }) => client === "node-redis")!;

export const PEERS: readonly System[] = [bullMqSystem, moleculerSystem];

/** Finds a system by its name, for a child process. */
export function findSystem(name: string): System {
  const all = [...PAIRS.flatMap(({ raw, tidings }) => [raw, tidings]), sqliteSystem, memorySystem, ...PEERS];
  const found = all.find((system) => system.name === name);
  if (found === undefined) {
    throw new Error(`Cannot find the system "${name}": it does not exist; use one of ${all.map((each) => each.name)}`);
  }
  return found;
}
