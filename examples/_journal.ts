/**
 * Runs the steps of an example, and prints the events of each as a tree of causes and effects.
 *
 * @module
 */
import { setTimeout as pause } from "node:timers/promises";
import { red, yellow } from "@std/fmt/colors";
import type { Subscription } from "@tidings/broker";
import { type AuctionBroker, type AuctionHouseEvent, events } from "./auction/events.ts";
import { readable } from "./auction/readable.ts";
import { say } from "./_columns.ts";
import { Outage } from "./_outage.ts";
import { heading, show } from "./_print.ts";

/** The groups of the auction's services. */
const SERVICES = ["payment", "notification"];

/** Collects notes of what the services do, and prints each below the event that it is about. */
export class Journal {
  #broker: AuctionBroker;
  #signal: AbortSignal;
  #outage: Outage;
  #notes: { about: string; service: string; text: string }[] = [];
  #printed = new Set<string>();
  #startedAt = new Date();
  #from: Date | undefined;

  constructor(broker: AuctionBroker, signal: AbortSignal) {
    this.#broker = broker;
    this.#signal = signal;
    this.#outage = new Outage(signal);
    broker.addEventListener("reconnect", ({ error }) => this.#outage.lost(error));
  }

  /** Explains a step, runs it, waits until the groups have settled all its events, and prints them. */
  async step(title: string, lesson: string, act?: () => Promise<void>): Promise<void> {
    this.#signal.throwIfAborted();
    heading(title, lesson);
    await act?.();
    await this.until(async () => await this.unsettled() === 0);
    await this.#print();
  }

  /** Checks a condition again and again until it is true. */
  async until(condition: () => Promise<boolean>): Promise<void> {
    while (!await this.outlast(condition)) await pause(15, undefined, { signal: this.#signal });
  }

  /** Reads, and tries again while the store cannot be reached. */
  outlast<T>(read: () => Promise<T>): Promise<T> {
    return this.#outage.outlast(read);
  }

  /** How many deliveries the services have not read or not settled yet. */
  async unsettled(): Promise<number> {
    let count = 0;
    // Stream by stream, causes first: a handler publishes its effects before its own event is settled.
    for (const event of events) {
      for (const { name, pending, lag } of (await this.#broker.info(event)).groups) {
        // Streams are shared: another program's group may have no consumer and would never settle.
        if (SERVICES.includes(name)) count += pending + lag;
      }
    }
    return count;
  }

  /** Notes what a service did with an event. `about` is the event's id, or `<type> <position>`. */
  note(about: string, service: string, text: string): void {
    this.#notes.push({ about, service, text });
  }

  /** Notes the failures of subscriptions. */
  watch(...subscriptions: Subscription[]): void {
    for (const subscription of subscriptions) {
      const { group } = subscription;
      subscription.addEventListener("retry", ({ eventType, position, attempt, delay, error }) => {
        const text = `attempt ${attempt} failed, next in ${Math.round(delay)} ms:\n${messageOf(error)}`;
        this.note(`${eventType} ${position}`, group, yellow(text));
      });
      subscription.addEventListener("deadletter", ({ eventType, position, error }) => {
        this.note(`${eventType} ${position}`, group, red(`gives up, to the dead letters:\n${messageOf(error)}`));
      });
    }
  }

  /** Prints the events that were published since the last call, and earlier ones that a service handled since then. */
  async #print(): Promise<void> {
    // The first call reads everything: an earlier run may have left any event unsettled.
    const range = { ...(this.#from && { from: this.#from }), signal: this.#signal };
    this.#from = this.#startedAt;
    const past = await this.outlast(() => Array.fromAsync(readable(this.#broker, events, range)));
    const found = past.filter((event) =>
      !this.#printed.has(event.id) && (event.time >= this.#startedAt || this.#notesOn(event).length > 0)
    );
    for (const event of found) this.#printed.add(event.id);
    const roots = found.filter((event) => !found.some(({ id }) => id === event.causationId));
    for (const root of roots) this.#branch(root, found, "");
  }

  #branch(event: AuctionHouseEvent, all: readonly AuctionHouseEvent[], indent: string): void {
    show(event, indent);
    for (const { service, text } of this.#notesOn(event)) say(text, `    ${indent}${service.padEnd(12)}  `);
    for (const effect of all) if (effect.causationId === event.id) this.#branch(effect, all, `${indent}  `);
  }

  #notesOn({ id, type, position }: AuctionHouseEvent): { service: string; text: string }[] {
    return this.#notes.filter(({ about }) => about === id || about === `${type} ${position}`);
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
