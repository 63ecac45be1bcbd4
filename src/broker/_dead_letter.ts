import type { DomainEvent } from "../events/mod.ts";
import type { DeadReason, ErrorRecord, LetterRecord, Position } from "../store/mod.ts";
import type { EventCodec } from "./_codec.ts";
import { rawFields } from "./_entry.ts";
import { UndecodableError } from "./errors.ts";
import type { DeadLetter as Shape } from "./stream_info.ts";

/** A letter as a class, so that what it holds in the clear is not what a log shows. */
export class DeadLetter<E extends DomainEvent> implements Shape<E> {
  readonly id: string;
  readonly position: Position;
  readonly reason: DeadReason;
  readonly attempts: number;
  readonly firstFailedAt: Date;
  readonly lastFailedAt: Date;
  readonly consumer: string;
  readonly error: ErrorRecord;
  readonly event: E | undefined;
  #fields: LetterRecord["fields"];

  constructor(record: LetterRecord, codec: EventCodec<E>) {
    this.id = record.id;
    this.position = record.position;
    this.reason = record.reason;
    this.attempts = record.attempts;
    this.firstFailedAt = new Date(record.firstFailedAt);
    this.lastFailedAt = new Date(record.lastFailedAt);
    this.consumer = record.consumer;
    this.error = record.error;
    const event = codec.decode(record);
    this.event = event instanceof UndecodableError ? undefined : event;
    this.#fields = record.fields;
  }

  // An accessor of the class: neither JSON nor an inspector shows it.
  get raw(): Readonly<Record<string, string>> {
    return rawFields(this.#fields);
  }
}
