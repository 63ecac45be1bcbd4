import type { Position } from "@tidings/broker";
import { detailsOf, STREAM } from "../_detail.ts";
import { openRaw } from "../systems/_raw_clients.ts";

// A script fills the stream in the server, because sending a million events would take long. The position of an event is
// its number, so that an event can be found by its number.
const SCRIPT = `
for n = ARGV[1], ARGV[2] do
  local id = string.format('%08x-0000-7000-8000-000000000000', n)
  redis.call('XADD', KEYS[1], n .. '-1', 'id', id, 'payload', ARGV[3])
end`;

const STEP = 10_000;

/** Stores `count` events, at {@linkcode positionOf} 1 and following. */
export async function fillStream(redis: string, count: number): Promise<void> {
  const connection = await openRaw("node-redis", redis);
  const payload = JSON.stringify(detailsOf(190)(0));
  for (let next = 1; next <= count; next += STEP) {
    const last = Math.min(count, next + STEP - 1);
    await connection.send(["EVAL", SCRIPT, "1", STREAM, String(next), String(last), payload]);
  }
  connection.close();
}

/** The position of the event of this number. */
export function positionOf(number: number): Position {
  return `${number}-1`;
}
