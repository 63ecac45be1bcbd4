/**
 * The port between the broker and its stores, for authors of stores.
 *
 * A store implements three interfaces. {@linkcode EventStore} appends and reads entries, {@linkcode GroupMember} delivers
 * them to one consumer of a group, and {@linkcode StreamAdmin} is for operating a stream. Their comments say what a caller
 * may rely on. The suite in `@tidings/broker/testing` checks these promises: `testEventStore("MyStore", open)`.
 *
 * @example Wrap a store, to reject appends while it is switched to read-only
 * ```ts
 * import { defineEvent, EventBroker } from "@tidings/broker";
 * import { SqliteStore } from "@tidings/broker/sqlite";
 * import { type AppendOptions, type EventStore, type Fields, type MemberOptions, type ReadRange } from "@tidings/broker/store";
 * import { assertEquals, assertRejects } from "@std/assert";
 *
 * class GuardedStore implements EventStore {
 *   readOnly = false;
 *   #store: EventStore;
 *
 *   constructor(store: EventStore) {
 *     this.#store = store;
 *   }
 *
 *   async append(stream: string, records: readonly Fields[], options?: AppendOptions) {
 *     // Not a StoreError: the broker takes the failure as final, and does not try again.
 *     if (this.readOnly) throw new Error(`Cannot append to ${stream}: the store is read-only; try again later`);
 *     return await this.#store.append(stream, records, options);
 *   }
 *   read(stream: string, range?: ReadRange) {
 *     return this.#store.read(stream, range);
 *   }
 *   member(stream: string, group: string, options: MemberOptions) {
 *     return this.#store.member(stream, group, options);
 *   }
 *   admin(stream: string) {
 *     return this.#store.admin(stream);
 *   }
 *   [Symbol.asyncDispose]() {
 *     return this.#store[Symbol.asyncDispose]();
 *   }
 * }
 *
 * class Tick extends defineEvent("Tick")<{ n: number }> {}
 *
 * const directory = await Deno.makeTempDir();
 * const store = new GuardedStore(await SqliteStore.open(`${directory}/events.db`));
 * {
 *   await using broker = new EventBroker(store, { events: [Tick] });
 *   await broker.publish(new Tick({ n: 1 }));
 *   store.readOnly = true;
 *   await assertRejects(() => broker.publish(new Tick({ n: 2 })), Error, "read-only");
 *   assertEquals((await broker.info(Tick)).length, 1);
 * }
 * await store[Symbol.asyncDispose]();
 * await Deno.remove(directory, { recursive: true });
 * ```
 *
 * @module
 */
export type { AppendOptions, EventStore, Fields, Producer, ReadRange, StoredRecord } from "./event_store.ts";
export type {
  Claim,
  ClaimedRecord,
  ClaimOptions,
  DeadReason,
  DeliveryRef,
  ErrorRecord,
  GroupMember,
  Healed,
  MemberOptions,
  Outcome,
  RemovedRange,
} from "./group_member.ts";
export type {
  ConsumerState,
  DeadLetterBox,
  DeferredState,
  DiscardOptions,
  GroupState,
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
