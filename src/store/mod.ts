/**
 * The port between the broker and its stores, for authors of stores.
 *
 * A store implements five interfaces. {@linkcode EventStore} appends and reads entries, {@linkcode GroupMember} delivers
 * them to one consumer of a group, {@linkcode StreamAdmin} is for operating a stream, {@linkcode StreamSchedule} keeps the
 * entries that are appended later, and {@linkcode SharedState} is a small text that processes share. Their comments say what a caller may rely on. The suite in `@tidings/broker/testing` checks these promises: `testEventStore("MyStore", open)`.
 *
 * @example Wrap a store, to make it read-only
 * ```ts
 * import { defineEvent, EventBroker } from "@tidings/broker";
 * import { SqliteStore } from "@tidings/broker/sqlite";
 * import type { EventStore } from "@tidings/broker/store";
 * import { assertRejects } from "@std/assert";
 *
 * const directory = await Deno.makeTempDir();
 * const inner = await SqliteStore.open(`${directory}/events.db`);
 * const store: EventStore = {
 *   // Not a StoreError: the broker takes the failure as final, and does not try again.
 *   append: (stream) => Promise.reject(new Error(`Cannot append to ${stream}: the store is read-only`)),
 *   appendRevised: (stream) => Promise.reject(new Error(`Cannot append to ${stream}: the store is read-only`)),
 *   revision: (...args) => inner.revision(...args),
 *   readSubject: (...args) => inner.readSubject(...args),
 *   read: (...args) => inner.read(...args),
 *   member: (...args) => inner.member(...args),
 *   admin: (...args) => inner.admin(...args),
 *   state: (...args) => inner.state(...args),
 *   schedule: (...args) => inner.schedule(...args),
 *   limiter: (...args) => inner.limiter(...args),
 *   [Symbol.asyncDispose]: () => inner[Symbol.asyncDispose](),
 * };
 *
 * class Tick extends defineEvent("Tick")<{ n: number }> {}
 * {
 *   await using broker = new EventBroker(store, { events: [Tick] });
 *   await assertRejects(() => broker.publish(new Tick({ n: 1 })), Error, "read-only");
 * }
 * await store[Symbol.asyncDispose]();
 * await Deno.remove(directory, { recursive: true });
 * ```
 *
 * @module
 */
export type { AppendOptions, EventStore, Fields, Producer, ReadRange, StoredRecord } from "./event_store.ts";
export { MAX_WAITING } from "./group_member.ts";
export type { Revised, RevisedOptions, RevisedRecord, SubjectRange } from "./revisions.ts";
export type {
  Claim,
  ClaimedRecord,
  ClaimOptions,
  DeadReason,
  DeliveryRef,
  ErrorRecord,
  GroupMember,
  Healed,
  HeldDeliveries,
  KeyedDelivery,
  MemberOptions,
  Outcome,
  RemovedRange,
  WhenDead,
} from "./group_member.ts";
export type {
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
} from "./schedule.ts";
export type { Limiter, RateLimit, Taken, TakeOptions } from "./limiter.ts";
export type { SharedState, SharedText } from "./shared_state.ts";
export type {
  ConsumerState,
  DeadLetterBox,
  DeferredState,
  DiscardOptions,
  GroupChange,
  GroupState,
  HeldState,
  LetterRecord,
  StreamAdmin,
  StreamState,
  TrimOptions,
  TrimResult,
} from "./stream_admin.ts";
export {
  comparePositions,
  firstPositionAt,
  isPosition,
  lastPositionAt,
  type Position,
  positionTime,
} from "./position.ts";
export { StoreError, type StoreErrorKind, type StoreErrorOptions } from "./errors.ts";
