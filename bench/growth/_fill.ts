import type { Position } from "@tidings/broker";
import { detailsOf, STREAM } from "../_detail.ts";
import { openRaw } from "../systems/_raw_clients.ts";

// In the server, as a million would take long otherwise. The number is in the position, so that any can be found.
const SCRIPT = `
for n = ARGV[1], ARGV[2] do
  local id = string.format('%08x-0000-7000-8000-000000000000', n)
  redis.call('XADD', KEYS[1], n .. '-1', 'id', id, 'payload', ARGV[3])
end`;

const STEP = 10_000;

/** Stores so many events, the first one at {@linkcode positionOf} 1. */
export async function fillStream(redis: string, count: number): Promise<void> {
  const connection = await openRaw("node-redis", redis);
  const payload = JSON.stringify(detailsOf(190)(0));
  for (let next = 1; next <= count; next += STEP) {
    const last = Math.min(count, next + STEP - 1);
    await connection.send(["EVAL", SCRIPT, "1", STREAM, String(next), String(last), payload]);
  }
  connection.close();
}

/** Where the event of this number stands. */
export function positionOf(number: number): Position {
  return `${number}-1`;
}
