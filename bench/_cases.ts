import { LABELS } from "../tests/redis/_bench.ts";
import type { ClientKind } from "../src/redis/clients/detect.ts";
import { type Case, idOf } from "./_case.ts";
import { consumeCase, HANDLINGS } from "./cases/consume.ts";
import { publishCase, SHAPES } from "./cases/publish.ts";
import { redisServerCases } from "./cases/redis_benchmark.ts";
import { rawSystem } from "./systems/raw.ts";
import { redisSystem } from "./systems/tidings.ts";

const CLIENTS = Object.keys(LABELS) as ClientKind[];

function allCases(): Case[] {
  const cases: Case[] = [];
  for (const shape of SHAPES) {
    const benchmark = redisServerCases(shape, 190);
    const references = benchmark.map(({ name }) => name);
    for (const client of CLIENTS) {
      const raw = rawSystem(client);
      cases.push(publishCase(raw, shape, 190));
      cases.push(publishCase(redisSystem(client), shape, 190, { against: [raw.name, ...references] }));
    }
    cases.push(...benchmark);
  }
  for (const handling of HANDLINGS) {
    for (const client of CLIENTS) {
      const raw = rawSystem(client);
      cases.push(consumeCase(raw, handling, 190));
      cases.push(consumeCase(redisSystem(client), handling, 190, { against: [raw.name] }));
    }
  }
  return cases;
}

/** The cases that match, and those of their groups that they are compared with. */
export function chooseCases(only: RegExp): Case[] {
  const all = allCases();
  const chosen = new Set(all.filter((each) => only.test(idOf(each))).map(idOf));
  for (const each of all) {
    if (!only.test(idOf(each))) continue;
    for (const name of each.against ?? []) chosen.add(idOf({ group: each.group, name }));
  }
  return all.filter((each) => chosen.has(idOf(each)));
}
