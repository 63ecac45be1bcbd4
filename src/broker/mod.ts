/**
 * The engine: one broker over any store.
 *
 * @module
 */
export { EventBroker, type EventMap } from "./event_broker.ts";
export type {
  BrokerHealth,
  GroupProgress,
  HealthOptions,
  StoreHealth,
  SubscriptionHealth,
  SubscriptionTypeHealth,
} from "./operating/health.ts";
export type { DetailCipher, SealedEvent } from "./detail_cipher.ts";
export type { Delivery, Handler, PulledDelivery } from "./delivery.ts";
export type { Batch, BatchHandler, BatchOptions } from "./batch.ts";
export {
  BatchError,
  BrokerClosedError,
  ConflictError,
  LeaseLostError,
  NewerVersionError,
  PermanentError,
  PublishError,
  PublishQueueFullError,
  PublishTimeoutError,
  RateLimitedError,
  UncertainPublishError,
  UndecodableError,
} from "./errors.ts";
export {
  BrokerErrorEvent,
  type BrokerEventMap,
  ConsumerWaitingEvent,
  DeadLetterEvent,
  DeferredEvent,
  DeliveryEvent,
  EntriesLostEvent,
  GroupLostEvent,
  HeldEvent,
  PauseEvent,
  RebalanceEvent,
  ReconnectEvent,
  ResumeEvent,
  RetryEvent,
  type SubscriptionEventMap,
  WarningEvent,
} from "./lifecycle_events.ts";
export type {
  AttemptEnd,
  BrokerObserver,
  HandlerObservation,
  LifecycleSource,
  Operation,
  OperationObservation,
  PublishObservation,
  SettlingBatch,
  SettlingObservation,
  SettlingOutcome,
} from "./observing/observer.ts";
export type {
  BrokerOptions,
  ConsumeOptions,
  DiscardDeadLettersOptions,
  Due,
  IdleOptions,
  MissedTicks,
  PublishOptions,
  RateOptions,
  ReadOptions,
  RedriveOptions,
  RetryOptions,
  ScheduledOptions,
  ScheduleOptions,
  ScheduleRule,
  StartFrom,
  StreamOptions,
  SubscribeOptions,
} from "./options.ts";
export type { RequestOptions } from "./request_options.ts";
export { partitionOf } from "./partition_of.ts";
export type {
  DeadLetter,
  GroupInfo,
  PartitionInfo,
  PartitionProgress,
  PauseInfo,
  ScheduledInfo,
  ScheduleInfo,
  StreamInfo,
} from "./operating/stream_info.ts";
export type { PauseState, Subscription, SubscriptionInfo, SubscriptionTypeInfo } from "./subscription.ts";
export type { EventListenerOf, EventOf, OneOrMore } from "./types.ts";
