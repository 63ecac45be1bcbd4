/**
 * Encrypts the sensitive fields of events at rest. {@linkcode FieldEncryption} takes a key for each subject from a
 * {@linkcode KeyStore}, where it can be deleted.
 *
 * ```ts
 * import { defineEvent, InMemoryBroker } from "@tidings/broker";
 * import { FieldEncryption, InMemoryKeyStore } from "@tidings/broker/encryption";
 * import { assertEquals } from "@std/assert";
 *
 * class CardStored extends defineEvent("CardStored", { sensitive: ["token"], encrypt: true })<{ token: string }> {}
 *
 * const encryption = new FieldEncryption({ keys: new InMemoryKeyStore() });
 * await using broker = new InMemoryBroker({ events: [CardStored], encryption });
 * await broker.publish(new CardStored({ token: "tok_1" }, { subject: "bidder-1" }));
 * const [event] = await Array.fromAsync(broker.history(CardStored));
 * assertEquals(event?.detail.token, "tok_1");
 * ```
 *
 * @module
 */
export { FieldEncryption, type FieldEncryptionOptions } from "./field_encryption.ts";
export { InMemoryKeyStore } from "./in_memory_key_store.ts";
export type { DataKey, KeyStore } from "./key_store.ts";
export { Shredded } from "./shredded.ts";
