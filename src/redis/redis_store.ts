import {
  type AppendOptions,
  comparePositions,
  type EventStore,
  type Fields,
  type GroupMember,
  type MemberOptions,
  type Position,
  type ReadRange,
  type StoredRecord,
  StoreError,
  type StreamAdmin,
} from "../store/mod.ts";
import { PRODUCER_MEMORY, REMEMBERED_BATCHES } from "../store/_producer.ts";
import { RedisAdmin } from "./_admin.ts";
import { BlockingReader, STREAMS_PER_READER } from "./_blocking_reader.ts";
import type { TimedConnection } from "./_connection.ts";
import type { Reply } from "./client.ts";
import { groupError } from "./_group_error.ts";
import { groupKeys, keyList, producerKey } from "./_keys.ts";
import { Link } from "./_link.ts";
import { RedisMember } from "./_member.ts";
import { before, parseEntries, positionsFrom } from "./_replies.ts";
import { APPEND } from "./scripts/append.ts";
import { JOIN } from "./scripts/join.ts";
import { Waker } from "./_waker.ts";

const PAGE = 500;
// The script makes it last anew only once half of it is over.
const MEMORY = 2 * PRODUCER_MEMORY;
// Nothing comes back to who only reads.
const UNTOLD = { blocked: () => {}, woken: () => {} };

/** Readers of one kind, and who reads by them. */
interface Pool {
  readonly readers: BlockingReader[];
}

/** One life of a consumer: its members of several streams share a name, and so one blocking read. */
interface Incarnation {
  readonly group: string;
  readonly name: string;
  readonly consumer: string;
  readonly members: Set<RedisMember>;
  readonly streams: Set<string>;
  readonly pool: Pool;
}

/** Events in Redis Streams: readable by redis-cli and anyone, one stream for each type. */
export class RedisStore implements EventStore {
  #template: TimedConnection;
  #where: string;
  #link: Link;
  #life = crypto.randomUUID().slice(0, 8);
  #lives = 0;
  #incarnations = new Set<Incarnation>();
  #followers: Pool = { readers: [] };
  /** Readers that end, of consumers that have left. */
  #closing = new Set<Promise<void>>();
  #waker: Waker;

  /**
   * @param connection The first connection, taken over: further ones are opened from it.
   * @param where What it connects to, for people; credentials do not belong in it.
   */
  constructor(connection: TimedConnection, where: string) {
    this.#template = connection;
    this.#where = where;
    this.#link = new Link(connection, true, where);
    this.#waker = new Waker(this.#link);
  }

  async append(stream: string, records: readonly Fields[], options: AppendOptions = {}): Promise<readonly Position[]> {
    options.signal?.throwIfAborted();
    const { id, sequence, decided, known } = options.producer ??
      { id: crypto.randomUUID(), sequence: 1, decided: 0, known: false };
    if (records.length === 0 && options.producer === undefined) return [];
    const args = [sequence, decided, known ? 1 : 0, MEMORY, REMEMBERED_BATCHES].map(String);
    pushRuns(args, records);
    try {
      const reply = await APPEND.run(this.#link, [stream, producerKey(stream, id)], args);
      const [first, count] = reply as readonly [string?, number?];
      return first === undefined ? [] : positionsFrom(first, count!);
    } catch (error) {
      throw sequenceError(error);
    }
  }

  async *read(stream: string, range: ReadRange = {}): AsyncGenerator<readonly StoredRecord[]> {
    const { from, after, to, limit = Infinity, reverse = false, follow = false, signal } = range;
    let low = after === undefined ? from ?? "-" : `(${after}`;
    if (after !== undefined && from !== undefined && comparePositions(from, after) > 0) low = from;
    let high: string = to ?? "+";
    let last = after ?? (from === undefined ? "0-0" : before(from));
    for (let left = limit; left > 0;) {
      signal?.throwIfAborted();
      const count = String(Math.min(PAGE, left));
      const command = reverse
        ? ["XREVRANGE", stream, high, low, "COUNT", count]
        : ["XRANGE", stream, low, high, "COUNT", count];
      const page = parseEntries(await this.#link.send(command));
      signal?.throwIfAborted();
      if (page.length > 0) {
        last = page.at(-1)!.position;
        if (reverse) high = `(${last}`;
        else low = `(${last}`;
        left -= page.length;
        yield page;
      } else if (follow) {
        // The blocking read only tells that there is more: it is paged as everything is.
        const reader = this.#reader(this.#followers, ["XREAD"], () => {});
        await reader.wait({ stream, after: last, limit: 1, ...UNTOLD }, signal ?? new AbortController().signal);
      } else return;
    }
  }

  async member(stream: string, group: string, options: MemberOptions): Promise<GroupMember> {
    const keys = groupKeys(stream, group);
    const incarnation = this.#incarnation(stream, group, options.consumer);
    const start = options.startFrom === "beginning"
      ? "0-0"
      : options.startFrom === "now"
      ? "$"
      : before(options.startFrom);
    const { consumer, members, pool } = incarnation;
    let reply: Reply;
    try {
      reply = await JOIN.run(this.#link, keyList(keys), [
        group,
        consumer,
        "",
        String(options.lease),
        start,
        crypto.randomUUID(),
      ]);
    } catch (error) {
      this.#release(incarnation, stream);
      throw groupError(error, stream, group);
    }
    const [takings, epoch, life] = reply as readonly [number, number, string];
    const byStream = (name: string) => [...members].find((candidate) => candidate.stream === name);
    const reader = this.#reader(
      pool,
      ["XREADGROUP", "GROUP", group, consumer],
      (name, records) => byStream(name)?.spill(records),
    );
    const member = new RedisMember(
      {
        link: this.#link,
        keys,
        group,
        consumer,
        options,
        reader,
        waker: this.#waker,
        left: () => {
          members.delete(member);
          this.#release(incarnation, stream);
        },
      },
      { takings, epoch, life },
    );
    members.add(member);
    return member;
  }

  // A second member of one stream, group and name is another life: the server says whether it may be.
  #incarnation(stream: string, group: string, name: string): Incarnation {
    for (const incarnation of this.#incarnations) {
      if (incarnation.group !== group || incarnation.name !== name || incarnation.streams.has(stream)) continue;
      incarnation.streams.add(stream);
      return incarnation;
    }
    const consumer = `${name}.${this.#life}${(++this.#lives).toString(36)}`;
    const streams = new Set([stream]);
    const incarnation = { group, name, consumer, members: new Set<RedisMember>(), streams, pool: { readers: [] } };
    this.#incarnations.add(incarnation);
    return incarnation;
  }

  #release(incarnation: Incarnation, stream: string): void {
    incarnation.streams.delete(stream);
    if (incarnation.streams.size > 0) return;
    for (const reader of incarnation.pool.readers) this.#close(reader);
    this.#incarnations.delete(incarnation);
  }

  /** A reader of the pool that has room for one more stream. */
  #reader(
    pool: Pool,
    command: readonly string[],
    spill: (stream: string, records: readonly StoredRecord[]) => void,
  ): BlockingReader {
    let reader = pool.readers.find(({ streams }) => streams < STREAMS_PER_READER);
    if (reader === undefined) {
      reader = new BlockingReader(
        new Link(this.#template, false, this.#where),
        command,
        (connection) => this.#waker.unblock(connection, "TIMEOUT"),
        spill,
      );
      pool.readers.push(reader);
    }
    return reader;
  }

  admin(stream: string): StreamAdmin {
    return new RedisAdmin({ link: this.#link, stream, waker: this.#waker });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#waker.close();
    const pools = [this.#followers, ...[...this.#incarnations].map(({ pool }) => pool)];
    for (const { readers } of pools) for (const reader of readers) this.#close(reader);
    this.#incarnations.clear();
    this.#template.close();
    await Promise.all([this.#link.close(), ...this.#closing]);
  }

  #close(reader: BlockingReader): void {
    const closing = reader.close().finally(() => this.#closing.delete(closing));
    this.#closing.add(closing);
  }
}

// Most records of a batch have fields of the same names, which then go out once.
function pushRuns(args: string[], records: readonly Fields[]): void {
  for (let from = 0, to: number; from < records.length; from = to) {
    const names = records[from]!;
    for (to = from + 1; to < records.length && sameNames(names, records[to]!);) to++;
    args.push(String(to - from), String(names.length / 2));
    for (let nth = 0; nth < names.length; nth += 2) args.push(names[nth]!);
    for (let at = from; at < to; at++) {
      const fields = records[at]!;
      for (let nth = 1; nth < fields.length; nth += 2) args.push(fields[nth]!);
    }
  }
}

function sameNames(a: Fields, b: Fields): boolean {
  if (a.length !== b.length) return false;
  for (let nth = 0; nth < a.length; nth += 2) if (a[nth] !== b[nth]) return false;
  return true;
}

function sequenceError(error: unknown): unknown {
  const message = error instanceof Error ? error.message : "";
  if (message.includes("OUTOFSEQUENCE")) return new StoreError("out-of-sequence", message, { cause: error });
  if (message.includes("FORGOTTEN")) return new StoreError("forgotten", message, { cause: error });
  return error;
}
