import {
  type DeadLetterBox,
  type DeadReason,
  type DiscardOptions,
  type ErrorRecord,
  type Fields,
  firstPositionAt,
  type GroupState,
  isPosition,
  type LetterRecord,
  type Position,
  type StreamAdmin,
  type StreamState,
  type TrimOptions,
  type TrimResult,
} from "../store/mod.ts";
import { assertIdle, unknownGroup } from "../store/_groups.ts";
import type { Reply } from "./connection/client.ts";
import { isNoKey } from "./connection/_reply_error.ts";
import { groupKeys, keyList } from "./_keys.ts";
import { before, parsePairs } from "./connection/_replies.ts";
import type { Script } from "./scripts/_script.ts";
import type { Route } from "./connection/_topology.ts";
import { GROUP_INFO } from "./scripts/info.ts";
import { REDRIVE } from "./scripts/redrive.ts";
import { REMOVE_GROUP } from "./scripts/remove_group.ts";
import { REWIND } from "./scripts/rewind.ts";
import { TRIM } from "./scripts/trim.ts";
import type { Waker } from "./consuming/_waker.ts";

// Counting what a group has not read costs a look at each entry where the server has lost count.
const LAG_COUNT = 1_000;
// No trim holds the server for long: more than this is removed in several steps.
const TRIM_AT_ONCE = 1_000;
const DELETED_MARK = 24 * 3_600_000;
const PAGE = 500;
// Handing a letter back takes the server ten times as long as showing it.
const REDRIVE_AT_ONCE = 100;
// `position`, `reason`, `attempts`, `consumer`, `firstfailedat`, `lastfailedat`, `deliveries`, `error`, each with its
// value: then come the entry's own fields.
const LETTER_FIELDS = 16;

/** What an admin needs of its store. */
export interface AdminContext {
  readonly link: Route;
  readonly stream: string;
  readonly waker: Waker;
}

/** A Redis stream as its operators see it. */
export class RedisAdmin implements StreamAdmin {
  #context: AdminContext;

  constructor(context: AdminContext) {
    this.#context = context;
  }

  async #run(script: Script, group: string, args: readonly string[]): Promise<Reply> {
    const { link, stream } = this.#context;
    return await script.run(link, keyList(groupKeys(stream, group)), [group, "", "", ...args]);
  }

  async #groups(): Promise<string[]> {
    const { link, stream } = this.#context;
    try {
      const groups = await link.send(["XINFO", "GROUPS", stream]) as readonly Reply[];
      return groups.map((group) => String(parsePairs(group).get("name")));
    } catch (error) {
      if (isNoKey(error)) return [];
      throw error;
    }
  }

  async info(): Promise<StreamState> {
    const { link, stream } = this.#context;
    const names = await this.#groups();
    let state: Map<string, Reply>;
    try {
      state = parsePairs(await link.send(["XINFO", "STREAM", stream]));
    } catch (error) {
      if (isNoKey(error)) return { length: 0, first: undefined, last: undefined, groups: [] };
      throw error;
    }
    const groups = await Promise.all(names.map((name) => this.#groupState(name)));
    const first = state.get("first-entry") as readonly [Position] | null;
    const last = state.get("last-generated-id") as Position;
    return {
      length: Number(state.get("length")),
      first: first?.[0],
      last: last === "0-0" ? undefined : last,
      groups: groups.filter((group) => group !== undefined),
    };
  }

  async #groupState(name: string): Promise<GroupState | undefined> {
    const reply = await this.#run(GROUP_INFO, name, [String(LAG_COUNT)]) as readonly Reply[];
    if (reply.length === 0) return undefined;
    const [pending, retrying, deadLetters, lag, exact, floor, consumers, deferred] = reply as [
      number,
      number,
      number,
      number,
      number,
      Position | "",
      readonly (readonly [string, number, number, number])[],
      readonly (readonly [string, number])[],
    ];
    return {
      name,
      pending,
      retrying,
      deferred: deferred.map(([version, pending]) => ({ version: Number(version), pending })).sort((a, b) =>
        a.version - b.version
      ),
      deadLetters,
      lag,
      lagIsExact: exact === 1,
      floor: floor === "" ? undefined : floor,
      consumers: consumers.map(([consumer, held, alive, stalled]) => ({
        name: consumer,
        pending: held,
        alive: alive === 1,
        stalled: stalled === 1,
      })),
    };
  }

  async trim({ maxAge, maxLength, force = false }: TrimOptions): Promise<TrimResult> {
    const { link, stream } = this.#context;
    let oldest = "";
    if (maxAge !== undefined) oldest = firstPositionAt(await serverTime(link) - maxAge).split("-")[0]!;
    const args = [oldest, maxLength === undefined ? "" : String(maxLength), force ? "1" : "0", String(TRIM_AT_ONCE)];
    let removed = 0;
    for (;;) {
      const [count, pinnedBy, more] = await TRIM.run(link, [stream], args) as readonly [number, string, number];
      removed += count;
      if (more === 0 || count === 0) return { removed, pinnedBy: pinnedBy === "" ? undefined : pinnedBy };
    }
  }

  async rewind(
    group: string,
    to: "beginning" | "now" | Position,
  ): Promise<{ dropped: number; first: Position | undefined }> {
    const names = await this.#groups();
    if (!names.includes(group)) throw unknownGroup(group, this.#context.stream, names);
    const from = to === "beginning" ? "0-0" : to;
    const args = from === "now" ? ["$", ""] : [before(from), from];
    const reply = await this.#run(REWIND, group, args) as readonly [number, Position | "", Reply];
    this.#context.waker.wake(reply[2]);
    return { dropped: reply[0], first: reply[1] === "" ? undefined : reply[1] };
  }

  async removeGroup(group: string, { force = false }: { readonly force?: boolean } = {}): Promise<boolean> {
    const names = await this.#groups();
    if (!names.includes(group)) return false;
    const state = force ? undefined : await this.#groupState(group);
    if (state !== undefined) assertIdle(state, this.#context.stream);
    const [removed, sleepers] = await this.#run(REMOVE_GROUP, group, [String(DELETED_MARK)]) as readonly [
      number,
      Reply,
    ];
    this.#context.waker.wake(sleepers);
    return removed === 1;
  }

  deadLetters(group: string): DeadLetterBox {
    return new RedisLetterBox(this.#context, group);
  }
}

class RedisLetterBox implements DeadLetterBox {
  #context: AdminContext;
  #group: string;

  constructor(context: AdminContext, group: string) {
    this.#context = context;
    this.#group = group;
  }

  async *list({ signal }: { readonly signal?: AbortSignal } = {}): AsyncGenerator<readonly LetterRecord[]> {
    const { link, stream } = this.#context;
    const { dead } = groupKeys(stream, this.#group);
    signal?.throwIfAborted();
    // Up to this one, so that letters which come meanwhile do not make a walk through the box endless.
    const [last] = await link.send(["XREVRANGE", dead, "+", "-", "COUNT", "1"]) as readonly [string, string[]][];
    if (last === undefined) return;
    for (let from = "-";;) {
      signal?.throwIfAborted();
      const range = ["XRANGE", dead, from, last[0], "COUNT", String(PAGE)];
      const page = await link.send(range) as readonly [string, string[]][];
      if (page.length > 0) yield page.map(([id, fields]) => letter(id, fields));
      if (page.length < PAGE) return;
      from = `(${page.at(-1)![0]}`;
    }
  }

  async redrive(ids?: readonly string[]): Promise<number> {
    const { link, stream } = this.#context;
    const keys = keyList(groupKeys(stream, this.#group));
    let count = 0;
    for await (const page of ids === undefined ? this.#allIds() : [ids.filter(isPosition)]) {
      for (let at = 0; at < page.length; at += REDRIVE_AT_ONCE) {
        const part = page.slice(at, at + REDRIVE_AT_ONCE);
        const args = [this.#group, "", "", String(LETTER_FIELDS), ...part];
        const [moved, sleepers] = await REDRIVE.run(link, keys, args) as readonly [number, Reply];
        this.#context.waker.wake(sleepers);
        count += moved;
      }
    }
    return count;
  }

  async *#allIds(): AsyncGenerator<readonly string[]> {
    for await (const page of this.list()) yield page.map(({ id }) => id);
  }

  async discard(
    { ids, maxAge = Infinity, maxLength = Infinity }: DiscardOptions = {},
  ): Promise<number> {
    const { link, stream } = this.#context;
    const { dead } = groupKeys(stream, this.#group);
    const wanted = ids === undefined ? undefined : new Set(ids);
    const isWanted = ({ id }: LetterRecord) => wanted === undefined || wanted.has(id);
    const bounded = maxAge !== Infinity || maxLength !== Infinity;
    const oldest = maxAge === Infinity ? -Infinity : await serverTime(link) - maxAge;
    // Page by page, however many there are: the oldest of those that are too many come first.
    let surplus = maxLength === Infinity ? 0 : await this.#count(isWanted) - maxLength;
    let removed = 0;
    for await (const page of this.list()) {
      const doomed = page.filter(isWanted).filter(({ lastFailedAt }) =>
        !bounded || surplus-- > 0 || lastFailedAt < oldest
      );
      if (doomed.length > 0) removed += Number(await link.send(["XDEL", dead, ...doomed.map(({ id }) => id)]));
    }
    return removed;
  }

  async #count(which: (letter: LetterRecord) => boolean): Promise<number> {
    let count = 0;
    for await (const page of this.list()) count += page.filter(which).length;
    return count;
  }
}

// Whose clock: the server's, in milliseconds.
async function serverTime(link: Route): Promise<number> {
  const [seconds, micros] = await link.send(["TIME"]) as readonly [string, string];
  return Number(seconds) * 1_000 + Math.floor(Number(micros) / 1_000);
}

function letter(id: string, all: readonly string[]): LetterRecord {
  const about = parsePairs(all.slice(0, LETTER_FIELDS)) as ReadonlyMap<string, string>;
  const fields: Fields = all.slice(LETTER_FIELDS);
  return {
    id,
    position: about.get("position") as Position,
    reason: about.get("reason") as DeadReason,
    attempts: Number(about.get("attempts")),
    consumer: about.get("consumer")!,
    firstFailedAt: Number(about.get("firstfailedat")),
    lastFailedAt: Number(about.get("lastfailedat")),
    error: JSON.parse(about.get("error")!) as ErrorRecord,
    fields,
  };
}
