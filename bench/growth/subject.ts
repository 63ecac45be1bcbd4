import { RedisBroker } from "@tidings/broker";
import type { Place } from "../_case.ts";
import { detailsOf } from "../_detail.ts";
import { openRaw } from "../systems/_raw_clients.ts";
import { Numbered } from "../systems/revisions.ts";
import { marksKey, subjectsKey } from "../../src/redis/_keys.ts";
import { MARK_EVERY } from "../../src/redis/scripts/entries/append_revised.ts";
import { median } from "../_stats.ts";
import type { Curve } from "./_curve.ts";

const STREAM = "events:Measured";
// Each of the others has ten events, so that there is a subject for ten events of the stream.
const EVENTS_OF_OTHERS = 10;
const EVENTS = 100;
const READS = 20;

// A script fills the stream in the server, with the same result as APPEND_REVISED.
const SCRIPT = `
local stream, index, marks = KEYS[1], KEYS[2], KEYS[3]
local heads = {}
local function add(n, subject)
  local head = heads[subject] or redis.call('HGET', index, subject) or '0'
  local revision, previous = string.match(head, '^(%d+) ?(%S*)$')
  local id = string.format('%.0f-1', n)
  local uuid = string.format('%08x-0000-7000-8000-000000000000', n)
  redis.call('XADD', stream, id, 'id', uuid, 'payload', ARGV[3], 'subject', subject, 'revision', revision + 1,
    'previous', previous)
  heads[subject] = (revision + 1) .. ' ' .. id
  if (revision + 1) % ${MARK_EVERY} == 0 then
    redis.call('HSET', marks, subject .. ' ' .. (revision + 1) / ${MARK_EVERY}, heads[subject])
  end
end
local first, last, subjects = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[4])
for n = first, last do add(n, string.format('%08x-5b3c-4c5a-9f0e-000000000000', n % subjects)) end
if ARGV[5] == '1' then add(last + 1, 'lamp') end
for subject, head in pairs(heads) do redis.call('HSET', index, subject, head) end`;

/** Stores `count` events, and among them {@linkcode EVENTS} of the subject "lamp", evenly spread. */
async function fill({ redis }: Place, count: number): Promise<void> {
  const connection = await openRaw("node-redis", redis);
  const keys = [STREAM, subjectsKey(STREAM), marksKey(STREAM)];
  const payload = JSON.stringify({ ...detailsOf(190)(0), auctionId: "1000" });
  const subjects = Math.ceil(count / EVENTS_OF_OTHERS);
  const part = Math.ceil(count / EVENTS);
  for (let nth = 0; nth < EVENTS; nth++) {
    const next = nth * (part + 1) + 1;
    for (let from = next; from < next + part; from += 10_000) {
      const to = Math.min(next + part, from + 10_000) - 1;
      const isLast = to === next + part - 1;
      const args = [from, to].map(String).concat(payload, String(subjects), isLast ? "1" : "0");
      await connection.send(["EVAL", SCRIPT, "3", ...keys, ...args]);
    }
  }
  connection.close();
}

/** The cost of reading one subject of a hundred events, by the number of events of other subjects. */
export function subjectHistory(most: number): Curve {
  return {
    name: "subject_history",
    title: "The cost of reading one subject of 100 events",
    x: "events in the stream, ten for each other subject",
    unit: "ms",
    sizes: [1_000, 10_000, 100_000, 1_000_000, 10_000_000].filter((size) => size <= most),
    measure: async (place, size) => {
      await fill(place, size);
      await using broker = await RedisBroker.connect(place.redis, { client: "node-redis", events: [Numbered] });
      const reads = async (options: { reverse?: boolean; limit?: number; fromRevision?: number }, expected: number) => {
        const took: number[] = [];
        for (let nth = 0; nth < READS; nth++) {
          const start = performance.now();
          let read = 0;
          for await (const _ of broker.history(Numbered, { subject: "lamp", ...options })) read++;
          if (read !== expected) throw new Error(`Cannot measure a subject of ${expected} events: ${read} were read`);
          took.push(performance.now() - start);
        }
        return median(took);
      };
      return { all: await reads({}, EVENTS), "the last one": await reads({ reverse: true, limit: 1 }, 1) };
    },
  };
}
