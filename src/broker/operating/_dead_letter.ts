import type { DomainEvent } from "../../events/mod.ts";
import type { DeadReason, ErrorRecord, LetterRecord, Position } from "../../store/mod.ts";
import type { EventCodec } from "../codec/_event_codec.ts";
import { rawFields } from "../codec/_entry.ts";
import type { DeadLetter as Shape } from "./stream_info.ts";

/** The event of a letter, or the error of decoding it. It never rejects: one letter must not end the list. */
export async function contentOf<E extends DomainEvent>(record: LetterRecord, codec: EventCodec<E>): Promise<E | Error> {
  try {
    return await codec.decode(record);
  } catch (error) {
    return error as Error;
  }
}

/** A dead letter. It is a class, so that logs do not show the sensitive fields that it holds. */
export class DeadLetter<E extends DomainEvent> implements Shape<E> {
  readonly id: string;
  readonly position: Position;
  readonly reason: DeadReason;
  readonly attempts: number;
  readonly firstFailedAt: Date;
  readonly lastFailedAt: Date;
  readonly consumer: string;
  readonly error: ErrorRecord;
  readonly key: string | undefined;
  readonly event: E | undefined;
  #undecodable: Error | undefined;
  #fields: LetterRecord["fields"];

  constructor(record: LetterRecord, content: E | Error) {
    this.id = record.id;
    this.position = record.position;
    this.reason = record.reason;
    this.attempts = record.attempts;
    this.firstFailedAt = new Date(record.firstFailedAt);
    this.lastFailedAt = new Date(record.lastFailedAt);
    this.consumer = record.consumer;
    this.error = record.error;
    this.key = record.key;
    this.event = content instanceof Error ? undefined : content;
    this.#undecodable = content instanceof Error ? content : undefined;
    this.#fields = record.fields;
  }

  // Getters of the class, not properties of the object: JSON and inspectors show neither them nor their values.
  get undecodable(): Error | undefined {
    return this.#undecodable;
  }

  get raw(): Readonly<Record<string, string>> {
    return rawFields(this.#fields);
  }
}
