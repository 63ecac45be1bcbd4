import type {
  AppendOptions,
  EventStore,
  Fields,
  GroupMember,
  Limiter,
  MemberOptions,
  Position,
  ReadRange,
  Revised,
  RevisedOptions,
  RevisedRecord,
  SharedState,
  StoredRecord,
  StreamAdmin,
  StreamSchedule,
  SubjectRange,
} from "../store/mod.ts";
import { MemoryAdmin } from "./_admin.ts";
import { MemoryGroup } from "./_group.ts";
import { MemoryMember } from "./_member.ts";
import { MemoryStream } from "./_stream.ts";

const PAGE_SIZE = 500;

// Named stores keep their streams until the process ends, as a file would: closing a broker loses nothing.
const shared = new Map<string, Map<string, MemoryStream>>();

/** Options of an {@linkcode InMemoryStore}. */
export interface InMemoryStoreOptions {
  /** Stores with the same name in one process share their streams. Without a name, the streams belong to this store. */
  name?: string;
  /** The clock of the store: returns milliseconds since the epoch. @default {Date.now} */
  now?: () => number;
}

/** Stores events in the memory of this process. It keeps the same promises as a durable store until the process ends. */
export class InMemoryStore implements EventStore {
  #streams: Map<string, MemoryStream>;
  #now: () => number;

  constructor({ name, now = Date.now }: InMemoryStoreOptions = {}) {
    this.#now = now;
    this.#streams = (name === undefined ? undefined : shared.get(name)) ?? new Map<string, MemoryStream>();
    if (name !== undefined) shared.set(name, this.#streams);
  }

  #stream(name: string): MemoryStream {
    let stream = this.#streams.get(name);
    if (stream === undefined) this.#streams.set(name, stream = new MemoryStream(name, this.#now));
    return stream;
  }

  // deno-lint-ignore require-await -- async turns thrown errors into rejections
  async append(stream: string, records: readonly Fields[], options: AppendOptions = {}): Promise<readonly Position[]> {
    options.signal?.throwIfAborted();
    return this.#stream(stream).append(records, options);
  }

  // deno-lint-ignore require-await -- async turns thrown errors into rejections
  async appendRevised(
    stream: string,
    records: readonly RevisedRecord[],
    options: RevisedOptions = {},
  ): Promise<readonly Revised[]> {
    options.signal?.throwIfAborted();
    return this.#stream(stream).appendRevised(records, options);
  }

  revision(stream: string, subject: string): Promise<number> {
    return Promise.resolve(this.#stream(stream).revisionOf(subject));
  }

  readSubject(stream: string, subject: string, range: SubjectRange = {}): AsyncIterable<readonly StoredRecord[]> {
    return this.#stream(stream).readSubject(subject, range, PAGE_SIZE);
  }

  read(stream: string, range: ReadRange = {}): AsyncIterable<readonly StoredRecord[]> {
    return this.#stream(stream).read(range, PAGE_SIZE);
  }

  // deno-lint-ignore require-await -- async turns thrown errors into rejections
  async member(name: string, groupName: string, options: MemberOptions): Promise<GroupMember> {
    const stream = this.#stream(name);
    let group = stream.groups.get(groupName);
    if (group === undefined) {
      stream.groups.set(groupName, group = new MemoryGroup(stream, groupName, options));
    }
    return new MemoryMember(stream, group, options);
  }

  admin(stream: string): StreamAdmin {
    return new MemoryAdmin(this.#stream(stream));
  }

  state(stream: string, name: string): SharedState {
    return this.#stream(stream).state(name);
  }

  schedule(stream: string, layout?: number): StreamSchedule {
    return this.#stream(stream).schedule(layout);
  }

  limiter(stream: string, name: string): Limiter {
    return this.#stream(stream).limiter(name);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve();
  }
}
