/**
 * Typed, durable events on Web-standard APIs: event classes, one broker, and stores behind it.
 *
 * ```ts
 * import { connect, defineEvent } from "@tidings/broker";
 * import { assertEquals } from "@std/assert";
 *
 * class AuctionEnded extends defineEvent("AuctionEnded")<{ auctionId: string; winningPrice: number }> {}
 *
 * await using broker = await connect("memory:", { events: [AuctionEnded] });
 * const charged = Promise.withResolvers<number>();
 * await broker.subscribe(AuctionEnded, (event) => charged.resolve(event.detail.winningPrice), { group: "payments" });
 * await broker.publish(new AuctionEnded({ auctionId: "a-1", winningPrice: 99.99 }));
 * assertEquals(await charged.promise, 99.99);
 * ```
 *
 * @module
 */
export { connect, type ConnectOptions } from "./src/connect.ts";
export { InMemoryBroker } from "./src/in_memory_broker.ts";
export { RedisBroker, type RedisBrokerOptions } from "./src/redis_broker.ts";
export type { DurabilityOptions, RedisOptions, TlsOptions } from "./src/redis_options.ts";
export {
  type AttemptEnd,
  type Batch,
  BatchError,
  type BatchHandler,
  type BatchOptions,
  BrokerClosedError,
  BrokerErrorEvent,
  type BrokerEventMap,
  type BrokerHealth,
  type BrokerObserver,
  type BrokerOptions,
  ConflictError,
  type ConsumeOptions,
  ConsumerWaitingEvent,
  type DeadLetter,
  DeadLetterEvent,
  DeferredEvent,
  type Delivery,
  DeliveryEvent,
  type DetailCipher,
  type DiscardDeadLettersOptions,
  type Due,
  EntriesLostEvent,
  EventBroker,
  type EventListenerOf,
  type EventMap,
  type EventOf,
  type GroupInfo,
  GroupLostEvent,
  type GroupProgress,
  type Handler,
  type HandlerObservation,
  type HealthOptions,
  HeldEvent,
  type IdleOptions,
  LeaseLostError,
  type LifecycleSource,
  type MissedTicks,
  NewerVersionError,
  type OneOrMore,
  type Operation,
  type OperationObservation,
  type PartitionInfo,
  partitionOf,
  type PartitionProgress,
  PauseEvent,
  type PauseInfo,
  type PauseState,
  PermanentError,
  PublishError,
  type PublishObservation,
  type PublishOptions,
  PublishQueueFullError,
  PublishTimeoutError,
  type PulledDelivery,
  RateLimitedError,
  type RateOptions,
  type ReadOptions,
  RebalanceEvent,
  ReconnectEvent,
  type RedriveOptions,
  type RequestOptions,
  ResumeEvent,
  RetryEvent,
  type RetryOptions,
  type ScheduledInfo,
  type ScheduledOptions,
  type ScheduleInfo,
  type ScheduleOptions,
  type ScheduleRule,
  type SealedEvent,
  type SettlingBatch,
  type SettlingObservation,
  type SettlingOutcome,
  type StartFrom,
  type StoreHealth,
  type StreamInfo,
  type StreamOptions,
  type SubscribeOptions,
  type Subscription,
  type SubscriptionEventMap,
  type SubscriptionHealth,
  type SubscriptionInfo,
  type SubscriptionTypeHealth,
  type SubscriptionTypeInfo,
  UncertainPublishError,
  UndecodableError,
  WarningEvent,
} from "./src/broker/mod.ts";
export {
  type CloudEvent,
  defineEvent,
  DomainEvent,
  type DomainEventInit,
  type EventBase,
  type EventClass,
  type EventOptions,
  type PathOf,
  type RetentionOptions,
  type SchemaEventBase,
  type SchemaEventOptions,
  type SchemaInput,
  type SchemaOutput,
  type StandardSchemaIssue,
  type StandardSchemaResult,
  type StandardSchemaV1,
  type TextPathOf,
  ValidationError,
  type ValidationIssue,
  type WithSubject,
} from "./src/events/mod.ts";
export {
  type ConsumerState,
  type DeadReason,
  type DeferredState,
  type ErrorRecord,
  type Position,
  type RemovedRange,
  StoreError,
  type StoreErrorKind,
} from "./src/store/mod.ts";
