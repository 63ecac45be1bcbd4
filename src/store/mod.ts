/**
 * The port between the engine and its stores: plain records in, plain records out.
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
