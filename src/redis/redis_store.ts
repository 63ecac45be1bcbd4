import {
  type AppendOptions,
  comparePositions,
  type EventStore,
  type Fields,
  type GroupMember,
  type Limiter,
  type MemberOptions,
  type Position,
  type ReadRange,
  type Revised,
  type RevisedOptions,
  type RevisedRecord,
  type SharedState,
  type StoredRecord,
  type StreamAdmin,
  type StreamSchedule,
  type SubjectRange,
} from "../store/mod.ts";
import type { DurabilityOptions } from "../redis_options.ts";
import { appendError, batchHead, pushRuns } from "./entries/_batches.ts";
import { RedisAdmin } from "./operating/_admin.ts";
import { BlockingReader } from "./consuming/_blocking_reader.ts";
import type { Reply } from "./connection/client.ts";
import { groupError } from "./_group_error.ts";
import { groupKeys, holdingKeyList } from "./_keys.ts";
import { RedisLimiter } from "./operating/_limiter.ts";
import { RedisState } from "./operating/_state.ts";
import { healedOf, type HealReply, RedisMember, whenDeadArg } from "./consuming/_member.ts";
import { Readers } from "./consuming/_readers.ts";
import { DurableRoute, type Write } from "./connection/_durability.ts";
import { before, parseEntries, positionsFrom } from "./connection/_replies.ts";
import type { Route, Topology } from "./connection/_topology.ts";
import type { Script } from "./connection/_script.ts";
import { RedisSchedule } from "./entries/_schedule.ts";
import { lastRevision, readSubject, revisedBatch, revisedOf } from "./entries/_subjects.ts";
import { APPEND } from "./scripts/entries/append.ts";
import { APPEND_REVISED } from "./scripts/entries/append_revised.ts";
import { JOIN } from "./scripts/consuming/join.ts";
import { Waker } from "./consuming/_waker.ts";

// The most entries of one XRANGE.
const PAGE = 500;
// A reader without a consumer group needs no notifications.
const NO_NOTIFICATIONS = { blocked: () => {}, woken: () => {} };

/** Options of {@linkcode RedisStore}. */
export interface RedisStoreOptions {
  readonly durability?: DurabilityOptions | undefined;
  readonly warnings?: readonly string[];
}

/** The shared route to a server, and the waker of blocked reads there. */
interface SharedRoute {
  readonly link: Route;
  readonly waker: Waker;
}

/** A consumer from joining to leaving. Its members on several streams share a consumer name and a blocking read. */
interface Incarnation {
  readonly group: string;
  readonly name: string;
  readonly consumer: string;
  readonly members: Set<RedisMember>;
  readonly streams: Set<string>;
  readonly readers: Readers;
  /** Readers that take nothing, for exclusive members: their scripts read. */
  readonly watchers: Readers;
}

/** Stores events in Redis Streams, one stream per event type, readable by redis-cli and any Redis client. */
export class RedisStore implements EventStore {
  #topology: Topology;
  /** Makes the consumer names of this store different from those of other stores. */
  #storeId = crypto.randomUUID().slice(0, 8);
  #incarnationCount = 0;
  #incarnations = new Set<Incarnation>();
  #followers = new Readers((stream) => this.#reader(stream, ["XREAD"], () => {}));
  /** Readers of consumers that left, which are closing. */
  #closing = new Set<Promise<void>>();
  /** The keys are server names of {@linkcode Topology.placeOf}, as for the durable routes below. */
  #sharedRoutes = new Map<string, SharedRoute>();

  /** Settings of the server that may lose events. */
  readonly warnings: readonly string[];
  #durability: DurabilityOptions | undefined;
  #durableRoutes = new Map<string, DurableRoute>();

  /** @param topology The servers of the streams; closed with the store. */
  constructor(topology: Topology, { durability, warnings = [] }: RedisStoreOptions = {}) {
    this.#topology = topology;
    this.#durability = durability;
    this.warnings = warnings;
  }

  #durableRoute(stream: string, options: DurabilityOptions): DurableRoute {
    const place = this.#topology.placeOf(stream);
    let route = this.#durableRoutes.get(place);
    if (route === undefined) {
      route = new DurableRoute(this.#topology.ownRoute(stream), options);
      this.#durableRoutes.set(place, route);
    }
    return route;
  }

  #shared(stream: string): SharedRoute {
    const place = this.#topology.placeOf(stream);
    let shared = this.#sharedRoutes.get(place);
    if (shared === undefined) {
      const link = this.#topology.route(stream);
      this.#sharedRoutes.set(place, shared = { link, waker: new Waker(link) });
    }
    return shared;
  }

  /** Runs scripts whose changes must be as durable as configured. */
  #write(stream: string): Write {
    const durability = this.#durability;
    return durability === undefined
      ? (script, keys, args) => script.run(this.#shared(stream).link, keys, args)
      : (script, keys, args) => this.#durableRoute(stream, durability).run(script, keys, args);
  }

  async append(stream: string, records: readonly Fields[], options: AppendOptions = {}): Promise<readonly Position[]> {
    options.signal?.throwIfAborted();
    if (records.length === 0 && options.producer === undefined) return [];
    const { keys, args } = batchHead(stream, options);
    pushRuns(args, records);
    const [first, count] = await this.#append(stream, APPEND, keys, args, options) as readonly [string?, number?];
    return first === undefined ? [] : positionsFrom(first, count!);
  }

  async appendRevised(
    stream: string,
    records: readonly RevisedRecord[],
    options: RevisedOptions = {},
  ): Promise<readonly Revised[]> {
    options.signal?.throwIfAborted();
    if (records.length === 0 && options.producer === undefined) return [];
    const { keys, args } = revisedBatch(stream, records, options);
    return revisedOf(await this.#append(stream, APPEND_REVISED, keys, args, options), stream, options);
  }

  async #append(
    stream: string,
    script: Script,
    keys: readonly string[],
    args: readonly string[],
    { layout }: AppendOptions,
  ): Promise<Reply> {
    try {
      return await this.#write(stream)(script, keys, args);
    } catch (error) {
      throw appendError(error, stream, layout);
    }
  }

  revision(stream: string, subject: string): Promise<number> {
    return lastRevision(this.#shared(stream).link, stream, subject);
  }

  readSubject(stream: string, subject: string, range: SubjectRange = {}): AsyncIterable<readonly StoredRecord[]> {
    return readSubject(this.#shared(stream).link, stream, subject, range);
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
      const page = parseEntries(await this.#shared(stream).link.send(command));
      signal?.throwIfAborted();
      if (page.length > 0) {
        last = page.at(-1)!.position;
        if (reverse) high = `(${last}`;
        else low = `(${last}`;
        left -= page.length;
        yield page;
      } else if (follow) {
        // The blocking read only reports that entries were added. They are read page by page above.
        const reader = this.#followers.take(stream, this.#topology.placeOf(stream));
        const until = signal ?? new AbortController().signal;
        await reader.wait({ stream, after: last, limit: 1, ...NO_NOTIFICATIONS }, until)
          .finally(() => this.#followers.giveBack(reader));
      } else return;
    }
  }

  async member(stream: string, group: string, options: MemberOptions): Promise<GroupMember> {
    const keys = groupKeys(stream, group);
    const { link, waker } = this.#shared(stream);
    const incarnation = this.#incarnation(stream, group, options.consumer);
    const start = options.startFrom === "beginning"
      ? "0-0"
      : options.startFrom === "now"
      ? "$"
      : before(options.startFrom);
    const { consumer, members } = incarnation;
    const readers = options.exclusive ? incarnation.watchers : incarnation.readers;
    let reply: Reply;
    try {
      reply = await JOIN.run(link, holdingKeyList(keys), [
        group,
        consumer,
        "",
        String(options.lease),
        start,
        crypto.randomUUID(),
        options.types?.join(" ") ?? "",
        options.exclusive ? "1" : "",
        whenDeadArg(options.whenDead),
      ]);
    } catch (error) {
      this.#release(incarnation, stream);
      throw groupError(error, stream, group, options);
    }
    const [generation, epoch, life, healed] = reply as readonly [number, number, string, HealReply];
    const reader = readers.take(stream, this.#topology.placeOf(stream));
    const member = new RedisMember(
      {
        link,
        keys,
        group,
        consumer,
        options,
        reader,
        waker,
        left: () => {
          if (members.delete(member)) readers.giveBack(reader);
          this.#release(incarnation, stream);
        },
      },
      { generation, epoch, life, healed: healedOf(healed) },
    );
    members.add(member);
    return member;
  }

  // A second member with the same stream, group and consumer name gets its own incarnation. The server decides whether it
  // may join.
  #incarnation(stream: string, group: string, name: string): Incarnation {
    for (const incarnation of this.#incarnations) {
      if (incarnation.group !== group || incarnation.name !== name || incarnation.streams.has(stream)) continue;
      incarnation.streams.add(stream);
      return incarnation;
    }
    const consumer = `${name}.${this.#storeId}${(++this.#incarnationCount).toString(36)}`;
    const streams = new Set([stream]);
    const members = new Set<RedisMember>();
    const spill = (stream: string, records: readonly StoredRecord[]) =>
      [...members].find((candidate) => candidate.stream === stream)?.spill(records);
    const readers = new Readers((stream) => this.#reader(stream, ["XREADGROUP", "GROUP", group, consumer], spill));
    const watchers = new Readers((stream) => this.#reader(stream, ["XREAD"], () => {}));
    const incarnation = { group, name, consumer, members, streams, readers, watchers };
    this.#incarnations.add(incarnation);
    return incarnation;
  }

  #release(incarnation: Incarnation, stream: string): void {
    incarnation.streams.delete(stream);
    if (incarnation.streams.size > 0) return;
    this.#close(incarnation.readers);
    this.#close(incarnation.watchers);
    this.#incarnations.delete(incarnation);
  }

  #reader(
    stream: string,
    command: readonly string[],
    spill: (stream: string, records: readonly StoredRecord[]) => void,
  ): BlockingReader {
    const { waker } = this.#shared(stream);
    const link = this.#topology.ownRoute(stream);
    return new BlockingReader(link, command, (connection) => waker.unblock(connection, "TIMEOUT"), spill);
  }

  admin(stream: string): StreamAdmin {
    return new RedisAdmin({ ...this.#shared(stream), stream }, this.#write(stream));
  }

  state(stream: string, name: string): SharedState {
    return new RedisState(this.#shared(stream).link, this.#write(stream), stream, name);
  }

  schedule(stream: string, layout?: number): StreamSchedule {
    return new RedisSchedule(this.#shared(stream).link, this.#write(stream), { stream, layout });
  }

  limiter(stream: string, name: string): Limiter {
    return new RedisLimiter(this.#shared(stream).link, stream, name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { waker } of this.#sharedRoutes.values()) waker.close();
    const all = [...this.#incarnations].flatMap(({ readers, watchers }) => [readers, watchers]);
    for (const readers of [this.#followers, ...all]) this.#close(readers);
    this.#incarnations.clear();
    const durable = [...this.#durableRoutes.values()].map((route) => route.close());
    await Promise.all([this.#topology.close(), ...durable, ...this.#closing]);
  }

  #close(readers: Readers): void {
    const closing = readers.close().finally(() => this.#closing.delete(closing));
    this.#closing.add(closing);
  }
}
