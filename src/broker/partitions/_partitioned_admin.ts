import { reasonOf } from "../../events/_check.ts";
import type {
  DeadLetterBox,
  EventStore,
  GroupChange,
  GroupState,
  Position,
  SharedState,
  StreamAdmin,
  StreamState,
  TrimOptions,
  TrimResult,
} from "../../store/mod.ts";
import { comparePositions } from "../../store/mod.ts";
import { assertAlterable, assertIdle, unknownGroup } from "../../store/_groups.ts";
import { assignmentState, cutKey, rewindState, shareOf } from "./_layout.ts";
import { mergedState } from "./_merged_state.ts";
import { PartitionedLetters } from "./_partitioned_letters.ts";
import type { StreamLayout } from "./_stream_layout.ts";
import type { WholeAdmin } from "./_whole_admin.ts";

// A rewind whose process died counts as ended after this time, in milliseconds.
const REWIND_TIMEOUT = 30_000;

/** The state of a stream with partitions: sums, and the state of each partition. */
export interface PartitionedState extends StreamState {
  /** The states of the streams in the store. */
  readonly partitions: readonly PartitionState[];
}

/** The state of one stream in the store. */
export interface PartitionState extends StreamState {
  readonly stream: string;
  /** The number of the partition; undefined for the stream from before there were partitions. */
  readonly partition: number | undefined;
}

/** The operations on all partitions of a stream together. */
export class PartitionedAdmin implements WholeAdmin {
  #store: EventStore;
  #stream: string;
  /** The streams in the store, and their operations in the same order. */
  #streams: readonly string[];
  #admins: readonly StreamAdmin[];
  /** Whether the number of partitions has changed, so that consumers hold entries back until older ones are settled. */
  #changed: boolean;

  constructor(store: EventStore, { stream, streams, layouts }: StreamLayout) {
    this.#store = store;
    this.#stream = stream;
    this.#streams = streams;
    this.#admins = streams.map((stream) => store.admin(stream));
    this.#changed = layouts.length > 1;
  }

  async info(): Promise<PartitionedState> {
    const states = await this.#infos();
    const partitions = states.map((state, nth) => {
      const [stream, number] = [this.#streams[nth]!, cutKey(this.#streams[nth]!)];
      return { ...state, stream, partition: number === "" ? undefined : Number(number) };
    });
    return { ...mergedState(states), partitions };
  }

  async writeRefusal(): Promise<Error | undefined> {
    const refusals = await Promise.all(this.#admins.map((admin) => admin.writeRefusal()));
    return refusals.find((refusal) => refusal !== undefined);
  }

  async fence(layout: number): Promise<Position | undefined> {
    const lasts = await this.#inEach(`fence ${this.#stream}`, (admin) => admin.fence(layout));
    return lasts.filter((last) => last !== undefined).sort(comparePositions).at(-1);
  }

  async trim(options: TrimOptions): Promise<TrimResult> {
    const own = shareOf(options, this.#admins.length);
    const results = await this.#inEach(`trim ${this.#stream}`, (admin) => admin.trim(own));
    return {
      removed: results.reduce((sum, { removed }) => sum + removed, 0),
      pinnedBy: results.find(({ pinnedBy }) => pinnedBy !== undefined)?.pinnedBy,
    };
  }

  async rewind(
    group: string,
    to: "beginning" | "now" | Position,
  ): Promise<{ dropped: number; first: Position | undefined }> {
    await this.#groups(group);
    const rewind = () => this.#inEach(`rewind group "${group}" of ${this.#stream}`, (admin) => admin.rewind(group, to));
    const rewound = this.#changed ? await this.#announced(group, rewind) : await rewind();
    const [first] = rewound.flatMap(({ first }) => first ?? []).sort(comparePositions);
    return { dropped: rewound.reduce((sum, { dropped }) => sum + dropped, 0), first };
  }

  /** Rewinds while consumers hold back what they would otherwise handle before older entries, which are rewound later. */
  async #announced<T>(group: string, rewind: () => Promise<T>): Promise<T> {
    const state = this.#store.state(this.#stream, rewindState(group));
    await write(state, (now) => String(now + REWIND_TIMEOUT));
    try {
      return await rewind();
    } finally {
      await write(state, () => undefined);
    }
  }

  async alterGroup(group: string, options: GroupChange): Promise<void> {
    for (const [partition, state] of (await this.#groups(group)).entries()) {
      assertAlterable(state, this.#nameOf(partition));
    }
    await this.#inEach(`alter group "${group}" of ${this.#stream}`, (admin) => admin.alterGroup(group, options));
  }

  async removeGroup(group: string, options: { readonly force?: boolean } = {}): Promise<boolean> {
    if (options.force !== true) {
      for (const [partition, { groups }] of (await this.#infos()).entries()) {
        const state = groups.find(({ name }) => name === group);
        if (state !== undefined) assertIdle(state, this.#nameOf(partition));
      }
    }
    const action = `delete group "${group}" of ${this.#stream}`;
    const removed = await this.#inEach(action, (admin) => admin.removeGroup(group, options));
    // A new group of this name may have another assignment.
    await write(this.#store.state(this.#stream, assignmentState(group)), () => undefined);
    return removed.includes(true);
  }

  deadLetters(group: string): DeadLetterBox {
    return new PartitionedLetters(
      new Map(this.#admins.map((admin, nth) => [cutKey(this.#streams[nth]!), admin.deadLetters(group)])),
      (action, act) => this.#inEach(`${action} of group "${group}" of ${this.#stream}`, (_, nth) => act(nth)),
    );
  }

  #nameOf(partition: number): string {
    return this.#streams[partition]!;
  }

  #infos(): Promise<StreamState[]> {
    return Promise.all(this.#admins.map((admin) => admin.info()));
  }

  /** The states of a group by partition. Throws a RangeError unless every partition has the group. */
  async #groups(group: string): Promise<GroupState[]> {
    const states = await this.#infos();
    const names = [...new Set(states.flatMap(({ groups }) => groups.map(({ name }) => name)))];
    if (!names.includes(group)) throw unknownGroup(group, this.#stream, names);
    return states.map(({ groups }, partition) => {
      const found = groups.find(({ name }) => name === group);
      if (found === undefined) {
        throw new RangeError(
          `Cannot find group "${group}" of ${
            this.#nameOf(partition)
          }: no consumer has joined it there yet; subscribe ` +
            `with this group, and try again`,
        );
      }
      return found;
    });
  }

  /** Does the same in each partition. If it fails in some of them only, the error names these. */
  async #inEach<T>(action: string, act: (admin: StreamAdmin, partition: number) => Promise<T>): Promise<T[]> {
    const results = await Promise.allSettled(this.#admins.map(act));
    const failed = results.flatMap((result, partition) =>
      result.status === "rejected" ? [{ partition, reason: result.reason as unknown }] : []
    );
    if (failed.length === 0) return results.map((result) => (result as PromiseFulfilledResult<T>).value);
    if (failed.length === results.length) throw failed[0]!.reason;
    const names = failed.map(({ partition }) => this.#nameOf(partition)).join(", ");
    throw new AggregateError(
      failed.map(({ reason }) => reason),
      `Cannot ${action} in ${failed.length} of ${results.length} partitions (${names}): ` +
        `${reasonOf(failed[0]!.reason)}; the other partitions are done: call it again`,
    );
  }
}

/** Writes a shared text, whatever was there before. */
async function write(state: SharedState, textAt: (now: number) => string | undefined): Promise<void> {
  for (;;) {
    const { text, version, now } = await state.read();
    const next = textAt(now);
    if (next === text || await state.write(next, version)) return;
  }
}
