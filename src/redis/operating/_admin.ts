import {
  type DeadLetterBox,
  firstPositionAt,
  type GroupChange,
  type GroupState,
  type Position,
  type SharedState,
  type StreamAdmin,
  type StreamState,
  type TrimOptions,
  type TrimResult,
} from "../../store/mod.ts";
import { assertAlterable, assertIdle, unknownGroup } from "../../store/_groups.ts";
import type { Reply } from "../connection/client.ts";
import { isNoKey, isUnknownCommand, replyOf } from "../connection/_reply_error.ts";
import { groupKeys, holdingKeyList, layoutKey, marksKey, producerKey } from "../_keys.ts";
import { RedisControl } from "./_control.ts";
import { type LetterContext, RedisLetterBox } from "./_letters.ts";
import { before, parsePairs, serverTime } from "../connection/_replies.ts";
import type { Write } from "../connection/_durability.ts";
import type { Script } from "../connection/_script.ts";
import { ALTER_GROUP } from "../scripts/operating/alter_group.ts";
import { FENCE } from "../scripts/operating/fence.ts";
import { FORCE_TRIM } from "../scripts/operating/force_trim.ts";
import { GROUP_INFO } from "../scripts/operating/info.ts";
import { REMOVE_GROUP } from "../scripts/operating/remove_group.ts";
import { REWIND } from "../scripts/operating/rewind.ts";
import { MEASURED_BLOCKS, TRIM } from "../scripts/operating/trim.ts";

// Where the server does not know a group's lag, unread entries are counted one by one, up to this many.
const LAG_COUNT = 1_000;
// Entries that one script call removes: trimming more takes several calls, so that none blocks the server for long.
const TRIM_AT_ONCE = 1_000;
// How long a removed group is remembered, so that its consumers end instead of creating it again, in milliseconds.
const DELETED_MARK = 24 * 3_600_000;

/** Operates a stream in Redis. */
export class RedisAdmin implements StreamAdmin {
  #context: LetterContext;
  #write: Write;

  /** @param write Runs a script, and waits until its changes are as durable as configured. */
  constructor(context: LetterContext, write: Write) {
    this.#context = context;
    this.#write = write;
  }

  async #run(script: Script, group: string, args: readonly string[]): Promise<Reply> {
    const { link, stream } = this.#context;
    return await script.run(link, holdingKeyList(groupKeys(stream, group)), [group, "", "", ...args]);
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

  async writeRefusal(): Promise<Error | undefined> {
    const { link, stream } = this.#context;
    try {
      // The server checks all that could refuse an append (memory, disk, replicas, its role) before it looks for the key.
      // No producer has this id: the key never exists, and by NOMKSTREAM the command does not make it.
      await link.send(["XADD", producerKey(stream, "none"), "NOMKSTREAM", "*", "probe", ""]);
      return undefined;
    } catch (error) {
      const reply = replyOf(error);
      if (reply === undefined) throw error;
      // A consumer's user needs no permission to publish.
      return reply.code === "NOPERM" ? undefined : reply;
    }
  }

  async info(): Promise<StreamState> {
    const { link, stream } = this.#context;
    const names = await this.#groups();
    let state: Map<string, Reply>;
    let bytes: number | undefined;
    try {
      const [info, measured] = await Promise.all([link.send(["XINFO", "STREAM", stream]), this.#bytes()]);
      state = parsePairs(info);
      bytes = measured;
    } catch (error) {
      if (isNoKey(error)) return { length: 0, bytes: 0, first: undefined, last: undefined, groups: [] };
      throw error;
    }
    const groups = await Promise.all(names.map((name) => this.#groupState(name)));
    const first = state.get("first-entry") as readonly [Position] | null;
    const last = state.get("last-generated-id") as Position;
    return {
      length: Number(state.get("length")),
      bytes,
      first: first?.[0],
      last: last === "0-0" ? undefined : last,
      groups: groups.filter((group) => group !== undefined),
    };
  }

  /** The memory that the stream takes; undefined if the user or the server does not allow the question. */
  async #bytes(): Promise<number | undefined> {
    const { link, stream } = this.#context;
    try {
      return Number(await link.send(["MEMORY", "USAGE", stream, "SAMPLES", String(MEASURED_BLOCKS)]));
    } catch (error) {
      if (replyOf(error)?.code === "NOPERM" || isUnknownCommand(error)) return undefined;
      throw error;
    }
  }

  async #groupState(name: string): Promise<GroupState | undefined> {
    const reply = await this.#run(GROUP_INFO, name, [String(LAG_COUNT)]) as readonly Reply[];
    if (reply.length === 0) return undefined;
    const [
      pending,
      retrying,
      deadLetters,
      lag,
      exact,
      floor,
      consumers,
      deferred,
      failedAt,
      types,
      skipped,
      whenDead,
      keys,
      waiting,
      from,
      expired,
      control,
    ] = reply as [
      number,
      number,
      number,
      number,
      number,
      Position | "",
      readonly (readonly [string, number, number, number])[],
      readonly (readonly [string, number])[],
      string,
      string,
      number,
      string,
      number,
      number,
      Position | "",
      number,
      string?,
    ];
    return {
      name,
      pending,
      retrying,
      deferred: deferred.map(([version, pending]) => ({ version: Number(version), pending })).sort((a, b) =>
        a.version - b.version
      ),
      types: types === "" ? undefined : types.split(" "),
      skipped,
      expired,
      whenDead: whenDead === "hold-key" ? whenDead : "continue",
      held: { keys, waiting, from: from === "" ? undefined : from },
      deadLetters,
      oldestDeadLetter: failedAt === "" ? undefined : Number(failedAt),
      lag,
      lagIsExact: exact === 1,
      floor: floor === "" ? undefined : floor,
      control,
      consumers: consumers.map(([consumer, held, alive, stalled]) => ({
        name: consumer,
        pending: held,
        alive: alive === 1,
        stalled: stalled === 1,
      })),
    };
  }

  async trim({ maxAge, maxLength, maxBytes, force = false }: TrimOptions): Promise<TrimResult> {
    const { link, stream } = this.#context;
    let oldest = "";
    if (maxAge !== undefined) oldest = firstPositionAt(await serverTime(link) - maxAge).split("-")[0]!;
    const bounds = [maxLength, maxBytes].map((bound) => bound === undefined ? "" : String(bound));
    const args = [oldest, ...bounds, String(TRIM_AT_ONCE)];
    const groups = force ? await this.#groups() : [];
    const keys = [stream, marksKey(stream), ...groups.map((group) => groupKeys(stream, group).meta)];
    const script = force ? FORCE_TRIM : TRIM;
    let removed = 0;
    for (;;) {
      const reply = await script.run(link, keys, [...args, ...groups]);
      const [count, pinnedBy, more] = reply as readonly [number, string, number];
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

  async alterGroup(group: string, { types, whenDead }: GroupChange): Promise<void> {
    const { stream } = this.#context;
    const names = await this.#groups();
    if (!names.includes(group)) throw unknownGroup(group, stream, names);
    const alive = await this.#run(ALTER_GROUP, group, [types?.join(" ") ?? "", whenDead ?? ""]) as readonly string[];
    assertAlterable({ name: group, consumers: alive.map((name) => ({ name, alive: true })) }, stream);
  }

  async removeGroup(group: string, { force = false }: { readonly force?: boolean } = {}): Promise<boolean> {
    const names = await this.#groups();
    if (!names.includes(group)) return false;
    const state = force ? undefined : await this.#groupState(group);
    if (state !== undefined) assertIdle(state, this.#context.stream);
    const [removed, connections] = await this.#run(REMOVE_GROUP, group, [String(DELETED_MARK)]) as readonly [
      number,
      Reply,
    ];
    this.#context.waker.wake(connections);
    return removed === 1;
  }

  async fence(layout: number): Promise<Position | undefined> {
    const { stream } = this.#context;
    const last = await this.#write(FENCE, [stream, layoutKey(stream)], [String(layout)]) as Position | "";
    return last === "" ? undefined : last;
  }

  control(group: string): SharedState {
    return new RedisControl({ ...this.#context, write: this.#write, groups: () => this.#groups() }, group);
  }

  deadLetters(group: string): DeadLetterBox {
    return new RedisLetterBox(this.#context, group);
  }
}
