import { checkKeys, checkNumber, checkSignal, show } from "../../events/_check.ts";
import { assertName } from "../../events/_names.ts";
import type { DomainEvent, RetentionOptions } from "../../events/mod.ts";
import type {
  DeadLetterBox,
  DiscardOptions,
  EventStore,
  GroupState,
  LetterRecord,
  Position,
  RateLimit,
  ScheduleRange,
  When,
  WhenDead,
} from "../../store/mod.ts";
import { unknownGroup } from "../../store/_groups.ts";
import type { Observers } from "../observing/_observers.ts";
import type { WholeAdmin } from "../partitions/_whole_admin.ts";
import { checkRate, checkWhenDead, startPoint } from "../_settings.ts";
import { eitherSignal, unlessAborted } from "../_store_retry.ts";
import type { EventCodec } from "../codec/_event_codec.ts";
import { byStream, type StreamCodec, typeOf } from "../codec/_stream_codec.ts";
import { MAX_PARTITIONS } from "../partition_of.ts";
import { assignmentState } from "../partitions/_layout.ts";
import type { ControlChange } from "../consuming/flow/_change.ts";
import type { StreamLayouts } from "../partitions/_stream_layouts.ts";
import type { DiscardDeadLettersOptions, RedriveOptions, StartFrom } from "../options.ts";
import type { StreamInfo } from "./stream_info.ts";
import type { Place } from "../scheduling/_places.ts";
import type { Scheduled } from "../scheduling/_scheduled.ts";
import { contentOf, DeadLetter } from "./_dead_letter.ts";
import { load } from "../../store/_load.ts";

/** The part of a broker that an operator uses. */
export interface OperatorOptions {
  readonly store: EventStore;
  /** The operations on a stream and all its partitions. */
  admin(stream: string): Promise<WholeAdmin>;
  readonly observers: Observers;
  readonly layouts: StreamLayouts;
  /** The retention of a stream; undefined when the stream keeps everything. */
  retentionOf(stream: string): RetentionOptions | undefined;
  /** An event was given another time; it is due in `wait` milliseconds. */
  rescheduled(place: Place, wait: number): void;
  /** Aborts when the broker has closed, which ends the reading of dead letters. */
  readonly drained: AbortSignal;
  /** Throws when the broker has closed; the error message says that it cannot do `action`. */
  assertUsable(action: string): void;
}

/** Inspects streams, and changes their groups and dead letters. */
export class Operator {
  #options: OperatorOptions;
  #admin: OperatorOptions["admin"];
  #observers: Observers;

  constructor(options: OperatorOptions) {
    this.#options = options;
    this.#admin = options.admin;
    this.#observers = options.observers;
  }

  async info({ stream, definition }: EventCodec): Promise<StreamInfo> {
    this.#options.assertUsable("inspect a stream");
    const admin = await this.#admin(stream);
    const [state, waiting, { streamInfo }] = await Promise.all([
      admin.info(),
      this.#scheduled().then((scheduled) => scheduled.state(stream)),
      load(() => import("./_stream_info.ts")),
    ]);
    return streamInfo(definition, stream, state, waiting, this.#options.retentionOf);
  }

  // Loaded on first use.
  async #scheduled(): Promise<Scheduled> {
    const { Scheduled } = await load(() => import("../scheduling/_scheduled.ts"));
    return new Scheduled(this.#options.store, this.#options.layouts);
  }

  /** The events of a class that wait for their time. */
  async *scheduled<E extends DomainEvent>(
    codec: EventCodec<E>,
    range: ScheduleRange,
  ): AsyncGenerator<E, void, void> {
    const signal = eitherSignal(range.signal, this.#options.drained);
    yield* (await this.#scheduled()).list(codec, { ...range, signal });
  }

  async unschedule(codec: EventCodec, id: string): Promise<boolean> {
    assertId("unschedule an event", id);
    this.#options.assertUsable("unschedule an event");
    const { type } = codec.definition;
    const cancel = async () => await (await this.#scheduled()).cancel(codec, id);
    return await this.#observers.operate({ name: "unschedule", eventType: type, group: undefined }, cancel, Number);
  }

  async reschedule(codec: EventCodec, id: string, when: When): Promise<boolean> {
    assertId("reschedule an event", id);
    this.#options.assertUsable("reschedule an event");
    const { type } = codec.definition;
    const move = async () => {
      const moved = await (await this.#scheduled()).move(codec, id, when);
      if (moved !== undefined) this.#options.rescheduled(moved.place, moved.wait);
      return moved !== undefined;
    };
    return await this.#observers.operate({ name: "reschedule", eventType: type, group: undefined }, move, Number);
  }

  /** Makes a group read again from `to`. Resolves with the number of dropped deliveries and the first position to read. */
  async rewind(
    { stream, definition }: EventCodec,
    options: { readonly group: string; readonly to: StartFrom },
  ): Promise<{ dropped: number; first: Position | undefined }> {
    checkKeys("rewind a group", options, ["group", "to"]);
    const { group, to } = options;
    assertName("group", group);
    const start = startPoint(to, "to");
    this.#options.assertUsable("rewind a group");
    const operation = { name: "rewind", eventType: definition.type, group } as const;
    const rewind = async () => (await this.#admin(stream)).rewind(group, start);
    return await this.#observers.operate(operation, rewind, ({ dropped }) => dropped);
  }

  async alterGroup(
    classes: readonly EventCodec[],
    options: {
      readonly group: string;
      readonly assignment?: "exclusive" | "shared";
      readonly whenDead?: WhenDead;
    },
  ): Promise<void> {
    checkKeys("alter a group", options, ["group", "assignment", "whenDead"]);
    const { group, assignment, whenDead } = options;
    assertName("group", group);
    if (assignment !== undefined && assignment !== "exclusive" && assignment !== "shared") {
      throw new TypeError(
        `Cannot alter group "${group}" to the assignment ${show(assignment)}: give "exclusive" or "shared"`,
      );
    }
    if (whenDead !== undefined) checkWhenDead(`alter group "${group}"`, whenDead);
    const codec = oneStream(classes, `alter group "${group}" of`);
    this.#options.assertUsable("alter a group");
    const { stream, name: eventType, groupTypes: types } = codec;
    const alter = async () => {
      const admin = await this.#admin(stream);
      const { layouts, store } = this.#options;
      if (assignment !== undefined && !layouts.of(stream)?.partitions) {
        throw new TypeError(
          `Cannot alter group "${group}" to the assignment "${assignment}": ${stream} has no partitions; leave ` +
            "assignment out",
        );
      }
      await admin.alterGroup(group, { types, whenDead });
      if (assignment === undefined) return;
      const { alterAssignment, SharedRoster } = await load(() => import("../consuming/assignment/_roster.ts"));
      const roster = new SharedRoster(store.state(stream, assignmentState(group)), `group "${group}" of ${stream}`);
      await alterAssignment(roster, assignment, group, stream);
    };
    await this.#observers.operate({ name: "alter_group", eventType, group }, alter);
  }

  /** Pauses a group; resolves with false if it was paused already. */
  async pause(codec: EventCodec, options: { readonly group: string; readonly reason?: string }): Promise<boolean> {
    checkKeys("pause a group", options, ["group", "reason"]);
    const { group, reason } = options;
    assertName("group", group);
    checkReason(reason);
    const { pausing } = await load(() => import("../consuming/flow/_change.ts"));
    return await this.#control(codec, group, "pause", pausing(reason));
  }

  /** Ends the pause of a group; resolves with false if it was not paused. */
  async resume(codec: EventCodec, options: { readonly group: string }): Promise<boolean> {
    checkKeys("resume a group", options, ["group"]);
    const { group } = options;
    assertName("group", group);
    const { resuming } = await load(() => import("../consuming/flow/_change.ts"));
    return await this.#control(codec, group, "resume", resuming);
  }

  /** Changes the limit of a group; resolves with false if it had this one. */
  async setRate(
    codec: EventCodec,
    options: { readonly group: string; readonly rate: RateLimit | undefined },
  ): Promise<boolean> {
    checkKeys("set the rate of a group", options, ["group", "rate"]);
    const { group, rate } = options;
    assertName("group", group);
    if (rate !== undefined) checkRate("set the rate of a group", rate);
    const { limiting } = await load(() => import("../consuming/flow/_change.ts"));
    return await this.#control(codec, group, "set_rate", limiting(rate && { ...rate }));
  }

  /** Pauses a group for so many milliseconds, unless it is paused. */
  async pauseFor(stream: string, group: string, reason: string, duration: number): Promise<void> {
    const { changeControl, pausing } = await load(() => import("../consuming/flow/_change.ts"));
    const { store, layouts } = this.#options;
    const controlled = { store, stream, layout: layouts.of(stream), group };
    await changeControl(controlled, `pause group "${group}" of ${stream}`, pausing(reason, duration));
  }

  async #control(
    { stream, definition: { type: eventType } }: EventCodec,
    group: string,
    name: "pause" | "resume" | "set_rate",
    change: ControlChange,
  ): Promise<boolean> {
    const action = name === "set_rate" ? "set the rate of" : name;
    this.#options.assertUsable(`${action} a group`);
    const { store, layouts } = this.#options;
    const { changeControl } = await load(() => import("../consuming/flow/_change.ts"));
    const controlled = { store, stream, layout: layouts.of(stream), group };
    const act = () => changeControl(controlled, `${action} group "${group}" of ${stream}`, change);
    return await this.#observers.operate({ name, eventType, group }, act);
  }

  async repartition(
    classes: readonly EventCodec[],
    options: { readonly partitions: number; readonly signal?: AbortSignal },
  ): Promise<void> {
    checkKeys("change the number of partitions", options, ["partitions", "signal"]);
    const { partitions, signal } = options;
    checkNumber("partitions", partitions, { min: 1, max: MAX_PARTITIONS, integer: true });
    checkSignal(signal);
    const codec = oneStream(classes, "change the partitions of");
    this.#options.assertUsable("change the number of partitions");
    const layout = this.#options.layouts.of(codec.stream);
    if (layout === undefined) {
      throw new TypeError(
        `Cannot give partitions to ${codec.stream}: the class ${
          codec.types[0]
        } takes no subject from its detail; add ` +
          `the option subject to the class`,
      );
    }
    const change = () => layout.repartition(partitions, eitherSignal(signal, this.#options.drained));
    await this.#observers.operate({ name: "repartition", eventType: codec.name, group: undefined }, change);
  }

  async deleteGroup(
    { stream, definition }: EventCodec,
    options: { readonly group: string; readonly force?: boolean },
  ): Promise<void> {
    checkKeys("delete a group", options, ["group", "force"]);
    const { group, force = false } = options;
    assertName("group", group);
    this.#options.assertUsable("delete a group");
    const operation = { name: "delete_group", eventType: definition.type, group } as const;
    const remove = async () => (await this.#admin(stream)).removeGroup(group, { force });
    await this.#observers.operate(operation, remove);
  }

  /** The dead letters of a group, oldest first. */
  deadLetters<E extends DomainEvent>(
    codec: EventCodec<E>,
    options: { readonly group: string; readonly signal?: AbortSignal },
  ): AsyncGenerator<DeadLetter<E>, void, void> {
    checkKeys("list dead letters", options, ["group", "signal"]);
    const { group, signal } = options;
    assertName("group", group);
    checkSignal(signal);
    return deadLetters(() => this.#admin(codec.stream), codec, group, eitherSignal(signal, this.#options.drained));
  }

  /** Redrives dead letters of a group, or counts those that would be redriven; resolves with their number. */
  async redrive(codec: EventCodec, options: RedriveOptions): Promise<number> {
    checkKeys("redrive dead letters", options, ["group", "ids", "dryRun", "signal"]);
    const { group, ids, dryRun = false, signal } = options;
    assertName("group", group);
    checkIds(ids);
    checkSignal(signal);
    this.#options.assertUsable("redrive dead letters");
    const redrive = async () => {
      const letters = await this.#lettersOf(codec, group, signal);
      if (dryRun) return (await find(letters, ids, signal)).length;
      if (letters.wanted === undefined) return await letters.box.redrive(ids);
      const found = await find(letters, ids, signal);
      return found.length === 0 ? 0 : await letters.box.redrive(found.map(({ id }) => id));
    };
    if (dryRun) return await redrive();
    return await this.#observers.operate({ name: "redrive", eventType: codec.definition.type, group }, redrive, Number);
  }

  /** Discards dead letters of a group, or counts those that would be discarded; resolves with their number. */
  async discard(codec: EventCodec, options: DiscardDeadLettersOptions): Promise<number> {
    checkDiscard(options);
    const { group, dryRun = false, signal } = options;
    this.#options.assertUsable("discard dead letters");
    const discard = async () => await discardFrom(await this.#lettersOf(codec, group, signal), options);
    if (dryRun) return await discard();
    return await this.#observers.operate({ name: "discard", eventType: codec.definition.type, group }, discard, Number);
  }

  async #lettersOf(codec: EventCodec, group: string, signal: AbortSignal | undefined): Promise<Letters> {
    signal?.throwIfAborted();
    const letters = await lettersOf(await this.#admin(codec.stream), codec, group);
    signal?.throwIfAborted();
    return letters;
  }
}

/** The dead letters of a group. */
interface Letters {
  readonly box: DeadLetterBox;
  /** Whether a letter is of the type that was asked for; undefined when all letters are. */
  readonly wanted: ((record: LetterRecord) => boolean) | undefined;
}

/** The dead letters of a group of one type; throws a RangeError unless the stream has this group. */
async function lettersOf<E extends DomainEvent>(
  admin: WholeAdmin,
  codec: EventCodec<E>,
  group: string,
): Promise<Letters> {
  const { types } = await findGroup(admin, codec.stream, group);
  const { type, stream: name } = codec.definition;
  const wanted = types === undefined ? undefined : ({ fields }: LetterRecord) => typeOf(fields, name, true) === type;
  return { box: admin.deadLetters(group), wanted };
}

/** The codec of the only stream of these classes; throws a TypeError if they have several. */
function oneStream(classes: readonly EventCodec[], action: string): StreamCodec {
  const [codec, other] = byStream(classes);
  if (other === undefined) return codec!;
  throw new TypeError(`Cannot ${action} ${codec!.name} and ${other.name} at once: give the classes of one stream`);
}

async function findGroup(admin: WholeAdmin, stream: string, group: string): Promise<GroupState> {
  const { groups } = await admin.info();
  const found = groups.find(({ name }) => name === group);
  if (found === undefined) throw unknownGroup(group, stream, groups.map(({ name }) => name));
  return found;
}

async function* deadLetters<E extends DomainEvent>(
  admin: () => Promise<WholeAdmin>,
  codec: EventCodec<E>,
  group: string,
  signal: AbortSignal,
): AsyncGenerator<DeadLetter<E>, void, void> {
  signal.throwIfAborted();
  const { box, wanted } = await lettersOf(await admin(), codec, group);
  for await (const page of box.list({ signal })) {
    for (const record of page) {
      signal.throwIfAborted();
      if (wanted?.(record) === false) continue;
      yield new DeadLetter(record, await unlessAborted(contentOf(record, codec), signal));
    }
  }
}

/** The wanted letters, or those of them with these ids, the oldest first. */
async function find(
  { box, wanted }: Letters,
  ids: readonly string[] | undefined,
  signal: AbortSignal | undefined,
): Promise<LetterRecord[]> {
  const named = ids === undefined ? undefined : new Set(ids);
  const found: LetterRecord[] = [];
  for await (const page of box.list(signal ? { signal } : {})) {
    for (const record of page) {
      if ((named === undefined || named.has(record.id)) && wanted?.(record) !== false) found.push(record);
    }
  }
  return found;
}

async function discardFrom(letters: Letters, options: DiscardDeadLettersOptions): Promise<number> {
  const { ids, maxAge = Infinity, maxLength = Infinity, dryRun = false, signal } = options;
  const bounds: DiscardOptions = {
    ...(maxAge !== Infinity && { maxAge }),
    ...(maxLength !== Infinity && { maxLength }),
  };
  // With a bound of Infinity nothing is discarded, but without any bound the store discards all letters.
  if (options.maxAge !== undefined || options.maxLength !== undefined) {
    if (maxAge === Infinity && maxLength === Infinity) return 0;
  }
  const { box, wanted } = letters;
  if (!dryRun && wanted === undefined) return await box.discard(ids === undefined ? bounds : { ids });
  const found = await find(letters, ids, signal);
  const oldest = Date.now() - maxAge;
  const bounded = maxAge === Infinity && maxLength === Infinity
    ? found
    : found.filter(({ lastFailedAt }, index) => index < found.length - maxLength || lastFailedAt < oldest);
  if (dryRun || bounded.length === 0) return bounded.length;
  return await box.discard({ ids: bounded.map(({ id }) => id) });
}

function checkDiscard(options: DiscardDeadLettersOptions): void {
  checkKeys("discard dead letters", options, ["group", "ids", "maxAge", "maxLength", "dryRun", "signal"]);
  const { group, ids, maxAge, maxLength, signal } = options;
  assertName("group", group);
  checkIds(ids);
  checkSignal(signal);
  if (maxAge !== undefined) checkNumber("maxAge (ms)", maxAge, { min: 0 });
  if (maxLength !== undefined) checkNumber("maxLength", maxLength, { min: 0, integer: true });
  if (ids !== undefined && (maxAge !== undefined || maxLength !== undefined)) {
    throw new TypeError("Cannot discard dead letters by both ids and bounds: give ids alone, or maxAge and maxLength");
  }
}

// The control of a group has room for 4 KiB.
const MOST_REASON = 500;

function checkReason(reason: unknown): void {
  if (reason === undefined) return;
  if (typeof reason !== "string") {
    throw new TypeError(`Cannot pause a group for the reason ${show(reason)}: give a string`);
  }
  if (reason.length <= MOST_REASON) return;
  throw new RangeError(
    `Cannot pause a group: the reason has ${reason.length} characters, and at most ${MOST_REASON} are allowed; shorten it`,
  );
}

function checkIds(ids: unknown): void {
  if (ids === undefined) return;
  if (!Array.isArray(ids)) throw new TypeError(`Cannot use ${show(ids)} as ids: give an array of ids of dead letters`);
  for (const id of ids) {
    if (typeof id !== "string") throw new TypeError(`Cannot use ${show(id)} as the id of a dead letter: give a string`);
  }
}

function assertId(action: string, id: unknown): void {
  if (typeof id === "string") return;
  throw new TypeError(`Cannot ${action} ${show(id)}: give the id of the event, a string`);
}
