/**
 * Takes the steps of a story, and tells each as a tree of cause and effect.
 *
 * @module
 */
import { setTimeout as pause } from "node:timers/promises";
import { red, yellow } from "@std/fmt/colors";
import type { Subscription } from "@tidings/broker";
import { type AuctionBroker, type AuctionHouseEvent, events } from "./auction/events.ts";
import { Outage } from "./_outage.ts";
import { heading, line } from "./_print.ts";

/** Groups of the auction's services. */
const SERVICES = ["payment", "notification"];

/** Collects what the services do, and tells it by the event that it was done for. */
export class Journal {
  #broker: AuctionBroker;
  #signal: AbortSignal;
  #outage: Outage;
  #notes: { about: string; service: string; text: string }[] = [];
  #told = new Set<string>();
  #begun = new Date();
  #from: Date | undefined;

  constructor(broker: AuctionBroker, signal: AbortSignal) {
    this.#broker = broker;
    this.#signal = signal;
    this.#outage = new Outage(signal);
    broker.addEventListener("reconnect", ({ error }) => this.#outage.lost(error));
  }

  /** Explains a step, takes it, waits until every group is done with what it led to, and tells what happened. */
  async step(title: string, lesson: string, act?: () => Promise<void>): Promise<void> {
    this.#signal.throwIfAborted();
    heading(title, lesson);
    await act?.();
    await this.until(async () => await this.unsettled() === 0);
    await this.#tell();
  }

  /** Looks again and again until it holds. */
  async until(holds: () => Promise<boolean>): Promise<void> {
    while (!await this.outlast(holds)) await pause(15, undefined, { signal: this.#signal });
  }

  /** Reads, again and again while the store cannot be reached. */
  outlast<T>(read: () => Promise<T>): Promise<T> {
    return this.#outage.outlast(read);
  }

  /** How many deliveries some group has still to read or to settle. */
  async unsettled(): Promise<number> {
    let count = 0;
    // One by one, causes first: what a handler publishes is in its stream before its own event counts as settled.
    for (const event of events) {
      for (const { name, pending, lag } of (await this.#broker.info(event)).groups) {
        // Streams are shared: a group of another program may have no consumer, and would never settle.
        if (SERVICES.includes(name)) count += pending + lag;
      }
    }
    return count;
  }

  /** Notes what a service did about an event, named by its id, or `<type> <position>`. */
  note(about: string, service: string, text: string): void {
    this.#notes.push({ about, service, text });
  }

  /** Notes what fails in subscriptions. */
  watch(...subscriptions: Subscription[]): void {
    for (const subscription of subscriptions) {
      const { group } = subscription;
      subscription.addEventListener("retry", ({ eventType, position, attempt, delay, error }) => {
        const text = `attempt ${attempt} failed, next in ${Math.round(delay)} ms: ${said(error)}`;
        this.note(`${eventType} ${position}`, group, yellow(text));
      });
      subscription.addEventListener("deadletter", ({ eventType, position, error }) => {
        this.note(`${eventType} ${position}`, group, red(`gives up, to the dead letters: ${said(error)}`));
      });
    }
  }

  /** Prints what was published since the last time, and at first also what earlier runs left to do. */
  async #tell(): Promise<void> {
    const range = { ...(this.#from && { from: this.#from }), signal: this.#signal };
    this.#from = this.#begun;
    const past = await this.outlast(() => Array.fromAsync(this.#broker.history(events, range)));
    const found = past.filter((event) =>
      !this.#told.has(event.id) && (event.time >= this.#begun || this.#notesOn(event).length > 0)
    );
    for (const event of found) this.#told.add(event.id);
    const roots = found.filter((event) => !found.some(({ id }) => id === event.causationId));
    for (const root of roots) this.#branch(root, found, "");
  }

  #branch(event: AuctionHouseEvent, all: readonly AuctionHouseEvent[], indent: string): void {
    line(event, indent);
    for (const { service, text } of this.#notesOn(event)) console.log(`    ${indent}${service.padEnd(12)}  ${text}`);
    for (const effect of all) if (effect.causationId === event.id) this.#branch(effect, all, `${indent}  `);
  }

  #notesOn({ id, type, position }: AuctionHouseEvent): { service: string; text: string }[] {
    return this.#notes.filter(({ about }) => about === id || about === `${type} ${position}`);
  }
}

function said(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
