import { dueAt, STEP_BYTES } from "../store/_schedule.ts";
import { sizeOf } from "../store/_size.ts";
import type {
  Added,
  AddOptions,
  AppendOptions,
  Fields,
  Leaving,
  Promoted,
  RevisedRecord,
  ScheduledRecord,
  ScheduleRange,
  ScheduleState,
  StreamSchedule,
  WaitingRecord,
  When,
} from "../store/mod.ts";

const PAGE_SIZE = 500;

/** An entry that waits. When it is moved, another item takes its place in the heap. */
interface Item extends WaitingRecord {
  readonly record: ScheduledRecord;
  /** The order of adding. */
  readonly nth: number;
}

/** The waiting entries of one schedule: a heap by due time, in which items that were removed stay until they come first. */
export class Waiting {
  /** The batch that is handed out: its number, and how many entries it has, 0 if there is none. */
  batch = 1;
  handedOut = 0;
  #heap: Item[] = [];
  #byId = new Map<string, Item>();
  #added = 0;

  get size(): number {
    return this.#byId.size;
  }

  add(records: readonly ScheduledRecord[], now: number): readonly number[] {
    return records.map((record) => this.#put(record, dueAt(record.when, now), ++this.#added));
  }

  #put(record: ScheduledRecord, due: number, nth: number): number {
    const item: Item = { id: record.id, fields: record.fields, due, record, nth };
    this.#byId.set(item.id, item);
    this.#heap.push(item);
    this.#rise(this.#heap.length - 1);
    // Removed items must not pile up.
    if (this.#heap.length > 64 && this.#heap.length > 2 * this.#byId.size) this.#heap = this.sorted();
    return due;
  }

  move(id: string, due: number): boolean {
    const item = this.#byId.get(id);
    if (item === undefined) return false;
    this.#put(item.record, due, item.nth);
    return true;
  }

  remove(id: string): boolean {
    return this.#byId.delete(id);
  }

  /** The entry that is due first. */
  first(): Item | undefined {
    for (let top = this.#heap[0]; top !== undefined; top = this.#heap[0]) {
      if (this.has(top)) return top;
      this.#pop();
    }
    return undefined;
  }

  /** Whether the item still waits, and was not moved. */
  has(item: Item): boolean {
    return this.#byId.get(item.id) === item;
  }

  /** All waiting entries in order, which is also the order of a heap. */
  sorted(): Item[] {
    return [...this.#byId.values()].sort(compare);
  }

  #rise(at: number): void {
    const heap = this.#heap;
    const item = heap[at]!;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (compare(heap[parent]!, item) <= 0) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = item;
  }

  #pop(): void {
    const heap = this.#heap;
    const item = heap.pop()!;
    if (heap.length === 0) return;
    let at = 0;
    for (let child = 1; child < heap.length; child = 2 * at + 1) {
      if (child + 1 < heap.length && compare(heap[child + 1]!, heap[child]!) < 0) child++;
      if (compare(item, heap[child]!) <= 0) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = item;
  }
}

function compare(a: Item, b: Item): number {
  return a.due - b.due || a.nth - b.nth;
}

/** The stream of a schedule. */
interface ScheduledStream {
  now(): number;
  append(records: readonly Fields[], options: AppendOptions): unknown;
  appendRevised(records: readonly RevisedRecord[], options: AppendOptions): unknown;
  /** Adds a batch once; the same batch gets the same due times again. */
  addOnce(waiting: Waiting, records: readonly ScheduledRecord[], options: AppendOptions): readonly number[];
  /** Throws if a later layout than this one is in force. */
  assertLayout(layout: number | undefined): void;
}

/** A schedule of a stream in memory. */
export class MemorySchedule implements StreamSchedule {
  #stream: ScheduledStream;
  #waiting: Waiting;
  #layout: number | undefined;

  constructor(stream: ScheduledStream, waiting: Waiting, layout: number | undefined) {
    this.#stream = stream;
    this.#waiting = waiting;
    this.#layout = layout;
  }

  // deno-lint-ignore require-await -- async turns thrown errors into rejections
  async add(records: readonly ScheduledRecord[], options: AddOptions = {}): Promise<Added> {
    options.signal?.throwIfAborted();
    const layout = this.#layout;
    const dues = this.#stream.addOnce(this.#waiting, records, layout === undefined ? options : { ...options, layout });
    return { dues, now: this.#stream.now() };
  }

  // deno-lint-ignore require-await -- async turns thrown errors into rejections
  async promote(limit: number): Promise<Promoted> {
    this.#stream.assertLayout(this.#layout);
    const now = this.#stream.now();
    let [appended, bytes] = [0, 0];
    for (let item = this.#waiting.first(); item !== undefined && item.due <= now; item = this.#waiting.first()) {
      if (appended === limit || bytes > STEP_BYTES) break;
      const { subject, base = 0 } = item.record;
      const fields = [...item.fields, "scheduledfor", new Date(item.due).toISOString()];
      if (subject === undefined) this.#stream.append([fields], {});
      else this.#stream.appendRevised([{ fields, subject, base }], {});
      this.#waiting.remove(item.id);
      appended++;
      bytes += sizeOf(fields);
    }
    return { appended, bytes, ...this.#state() };
  }

  state(): Promise<ScheduleState> {
    return Promise.resolve(this.#state());
  }

  #state(): ScheduleState {
    return { waiting: this.#waiting.size, due: this.#waiting.first()?.due, now: this.#stream.now() };
  }

  async *list({ from = -Infinity, to = Infinity, limit = Infinity, signal }: ScheduleRange = {}): AsyncGenerator<
    readonly WaitingRecord[]
  > {
    signal?.throwIfAborted();
    const items = this.#waiting.sorted().filter(({ due }) => due >= from && due <= to);
    for (let [at, left] = [0, limit]; at < items.length && left > 0;) {
      signal?.throwIfAborted();
      const page: WaitingRecord[] = [];
      for (; at < items.length && page.length < Math.min(PAGE_SIZE, left); at++) {
        if (this.#waiting.has(items[at]!)) page.push(recordOf(items[at]!));
      }
      left -= page.length;
      if (page.length > 0) yield page;
    }
  }

  // deno-lint-ignore require-await -- async turns thrown errors into rejections
  async cancel(id: string): Promise<boolean> {
    this.#stream.assertLayout(this.#layout);
    return this.#waiting.remove(id);
  }

  // deno-lint-ignore require-await -- async turns thrown errors into rejections
  async move(id: string, when: When): Promise<Added> {
    this.#stream.assertLayout(this.#layout);
    const now = this.#stream.now();
    const due = dueAt(when, now);
    return { dues: this.#waiting.move(id, due) ? [due] : [], now };
  }

  take(limit: number): Promise<Leaving> {
    const waiting = this.#waiting;
    const items = waiting.sorted();
    if (waiting.handedOut === 0) {
      for (let bytes = 0; waiting.handedOut < Math.min(limit, items.length) && bytes <= STEP_BYTES;) {
        bytes += sizeOf(items[waiting.handedOut++]!.fields);
      }
    }
    return Promise.resolve({ batch: waiting.batch, records: items.slice(0, waiting.handedOut).map(recordOf) });
  }

  taken(batch: number): Promise<void> {
    const waiting = this.#waiting;
    if (batch === waiting.batch && waiting.handedOut > 0) {
      for (const { id } of waiting.sorted().slice(0, waiting.handedOut)) waiting.remove(id);
      waiting.batch++;
      waiting.handedOut = 0;
    }
    return Promise.resolve();
  }
}

function recordOf({ id, fields, due }: Item): WaitingRecord {
  return { id, fields, due };
}
