import type { DomainEvent } from "../../events/mod.ts";
import type { DeadReason, ErrorRecord, LetterRecord, Position } from "../../store/mod.ts";
import type { EventCodec } from "../codec/_event_codec.ts";
import { rawFields } from "../codec/_entry.ts";
import type { DeadLetter as Shape } from "../stream_info.ts";

/** The event of a letter, or why there is none; also what may be otherwise another time, which is no reason to end a list. */
export async function contentOf<E extends DomainEvent>(record: LetterRecord, codec: EventCodec<E>): Promise<E | Error> {
  try {
    return await codec.decode(record);
  } catch (error) {
    return error as Error;
  }
}

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
    this.event = content instanceof Error ? undefined : content;
    this.#undecodable = content instanceof Error ? content : undefined;
    this.#fields = record.fields;
  }

  // Accessors of the class: neither JSON nor an inspector shows them, and what the entry holds with them.
  get undecodable(): Error | undefined {
    return this.#undecodable;
  }

  get raw(): Readonly<Record<string, string>> {
    return rawFields(this.#fields);
  }
}
