import type {
  AppendOptions,
  EventStore,
  Fields,
  GroupMember,
  MemberOptions,
  Position,
  ReadRange,
  StoredRecord,
  StreamAdmin,
} from "../store/mod.ts";
import { MemoryAdmin } from "./_admin.ts";
import { MemoryGroup } from "./_group.ts";
import { MemoryMember } from "./_member.ts";
import { MemoryStream } from "./_stream.ts";

const PAGE_SIZE = 500;

// What `memory:name` shares lives as long as the process, as a file would: closing a broker loses nothing.
const shared = new Map<string, Map<string, MemoryStream>>();

/** Options of an {@linkcode InMemoryStore}. */
export interface InMemoryStoreOptions {
  /** Stores of one name in one process share their streams; without a name nobody else sees them. */
  name?: string;
  /** The store's clock, in milliseconds since the epoch. @default {Date.now} */
  now?: () => number;
}

/** Streams in the memory of this process: everything a durable store does, for as long as the process lives. */
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

  // deno-lint-ignore require-await -- what is thrown here must reach the caller as a rejection
  async append(stream: string, records: readonly Fields[], options: AppendOptions = {}): Promise<readonly Position[]> {
    options.signal?.throwIfAborted();
    return this.#stream(stream).append(records, options.producer);
  }

  read(stream: string, range: ReadRange = {}): AsyncIterable<readonly StoredRecord[]> {
    return this.#stream(stream).read(range, PAGE_SIZE);
  }

  // deno-lint-ignore require-await -- what is thrown here must reach the caller as a rejection
  async member(name: string, groupName: string, options: MemberOptions): Promise<GroupMember> {
    const stream = this.#stream(name);
    let group = stream.groups.get(groupName);
    if (group === undefined) {
      stream.groups.set(groupName, group = new MemoryGroup(stream, groupName, options.startFrom));
    }
    return new MemoryMember(stream, group, options);
  }

  admin(stream: string): StreamAdmin {
    return new MemoryAdmin(this.#stream(stream));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve();
  }
}
