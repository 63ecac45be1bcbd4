import { STEP_BYTES } from "../../store/_schedule.ts";
import type {
  Added,
  AddOptions,
  Leaving,
  Promoted,
  ScheduledRecord,
  ScheduleRange,
  ScheduleState,
  StreamSchedule,
  WaitingRecord,
  When,
} from "../../store/mod.ts";
import { layoutKey, marksKey, scheduleKeys, subjectsKey } from "../_keys.ts";
import type { Reply } from "../connection/client.ts";
import type { Write } from "../connection/_durability.ts";
import type { Script } from "../connection/_script.ts";
import type { Route } from "../connection/_topology.ts";
import { ADD } from "../scripts/scheduling/add.ts";
import { CHANGE } from "../scripts/scheduling/change.ts";
import { LIST, STATE } from "../scripts/scheduling/list.ts";
import { PROMOTE } from "../scripts/scheduling/promote.ts";
import { TAKE, TAKEN } from "../scripts/scheduling/take.ts";
import { appendError, batchHead, subjectAt } from "./_batches.ts";

const PAGE = 200;

/** Due time, member of the sorted set, and fields. */
type EntryReply = readonly [string, string, readonly string[]];
// A member begins with a number of so many digits.
const DIGITS = 10;

/** The stream of a schedule, and the layout by which its callers chose the stream. */
interface Place {
  readonly stream: string;
  readonly layout: number | undefined;
}

/** A schedule of a stream in Redis. */
export class RedisSchedule implements StreamSchedule {
  #link: Route;
  #write: Write;
  #stream: string;
  #layout: number | undefined;
  /** The sorted set and the hash. */
  #keys: readonly string[];

  /** @param write Runs a script, and waits until its changes are as durable as configured. */
  constructor(link: Route, write: Write, { stream, layout }: Place) {
    this.#link = link;
    this.#write = write;
    this.#stream = stream;
    this.#layout = layout;
    this.#keys = scheduleKeys(stream, layout ?? 0);
  }

  /** The key of the layout, if there is one. */
  get #fence(): readonly string[] {
    return this.#layout === undefined ? [] : [layoutKey(this.#stream)];
  }

  async #run(script: Script, keys: readonly string[], args: readonly string[]): Promise<Reply> {
    try {
      return await this.#write(script, keys, args);
    } catch (error) {
      throw appendError(error, this.#stream, this.#layout);
    }
  }

  async add(records: readonly ScheduledRecord[], options: AddOptions = {}): Promise<Added> {
    options.signal?.throwIfAborted();
    const layout = this.#layout;
    const own = layout === undefined ? options : { ...options, layout };
    const { keys, args } = batchHead(this.#stream, own, this.#keys);
    for (const record of records) pushRecord(args, record);
    const [now = "0", ...dues] = await this.#run(ADD, keys, args) as readonly string[];
    return { dues: dues.map(Number), now: Number(now) };
  }

  async promote(limit: number): Promise<Promoted> {
    const stream = this.#stream;
    const keys = [stream, ...this.#keys, subjectsKey(stream), marksKey(stream), ...this.#fence];
    const reply = await this.#run(PROMOTE, keys, [String(this.#layout ?? ""), String(limit), String(STEP_BYTES)]);
    const [appended, bytes, ...state] = reply as readonly [number, number, number, string, string];
    return { appended, bytes, ...stateOf(state) };
  }

  async state(): Promise<ScheduleState> {
    return stateOf(await STATE.run(this.#link, this.#keys, []) as readonly [number, string, string]);
  }

  async *list(
    { from, to, limit = Infinity, signal }: ScheduleRange = {},
  ): AsyncGenerator<readonly WaitingRecord[]> {
    const bounds = [from === undefined ? "-inf" : String(from), to === undefined ? "+inf" : String(to)];
    let last: readonly string[] = [];
    for (let left = limit; left > 0;) {
      signal?.throwIfAborted();
      const args = [...bounds, String(Math.min(PAGE, left)), String(STEP_BYTES), ...last];
      const reply = await LIST.run(this.#link, this.#keys, args) as readonly EntryReply[];
      signal?.throwIfAborted();
      if (reply.length === 0) return;
      left -= reply.length;
      const [due, member] = reply.at(-1)!;
      last = [due, member];
      yield reply.map(recordOf);
    }
  }

  async cancel(id: string): Promise<boolean> {
    const reply = await this.#run(CHANGE, [...this.#keys, ...this.#fence], [String(this.#layout ?? ""), id]);
    return (reply as readonly string[]).length > 0;
  }

  async move(id: string, when: When): Promise<Added> {
    const args = [String(this.#layout ?? ""), id, ...whenArgs(when)];
    const [due, now] = await this.#run(CHANGE, [...this.#keys, ...this.#fence], args) as readonly [string?, string?];
    return { dues: due === undefined ? [] : [Number(due)], now: Number(now ?? 0) };
  }

  async take(limit: number): Promise<Leaving> {
    const reply = await this.#run(TAKE, this.#keys, [String(limit), String(STEP_BYTES)]);
    const [batch, entries] = reply as readonly [number, readonly EntryReply[]];
    return { batch, records: entries.map(recordOf) };
  }

  async taken(batch: number): Promise<void> {
    await this.#run(TAKEN, this.#keys, [String(batch)]);
  }
}

function pushRecord(args: string[], { id, fields, when, subject, base = 0 }: ScheduledRecord): void {
  const own = subject === undefined ? 0 : subjectAt({ fields, subject });
  args.push(id, ...whenArgs(when));
  if (subject === undefined || own > 0) args.push(String(own));
  else args.push("-1", subject);
  args.push(String(base), String(fields.length), ...fields);
}

function whenArgs(when: When): [kind: string, ms: string] {
  return "at" in when ? ["at", String(Math.floor(when.at))] : ["in", String(Math.ceil(when.delay))];
}

function stateOf([waiting, due, now]: readonly [number, string, string]): ScheduleState {
  return { waiting, due: due === "" ? undefined : Number(due), now: Number(now) };
}

function recordOf([due, member, fields]: EntryReply): WaitingRecord {
  return { id: member.slice(DIGITS), fields, due: Number(due) };
}
