import type { DomainEvent } from "../../events/mod.ts";
import { PRODUCER_MEMORY } from "../../store/_producer.ts";
import { WakeUp } from "../../store/_wake_up.ts";
import { type EventStore, firstPositionAt, type SharedState, type SharedText, StoreError } from "../../store/mod.ts";
import { isInstance } from "../../events/_foreign.ts";
import { backoff, isTransient, RECONNECT, settledWithin } from "../_store_retry.ts";
import type { EventCodecs } from "../codec/_event_codecs.ts";
import type { MissedTicks, ScheduleRule } from "../options.ts";
import type { ScheduleInfo } from "../operating/stream_info.ts";
import type { StreamLayout } from "../partitions/_stream_layout.ts";
import { Bases } from "../publishing/_bases.ts";
import { startTimer } from "../scheduling/_timer.ts";
import { type Definition, definitionIn, isSame, namesIn, type TickClaim } from "./_definition.ts";
import { type Ticks, ticksOf } from "./_ticks.ts";

// How often a schedule is read, in milliseconds: other processes may have changed it.
const POLL = 1_000;
// How long a broker leaves a claimed tick to the broker that claimed it, in milliseconds.
const TAKE_OVER = 1_000;
// A tick that is older was missed: no broker with the schedule was open then, in milliseconds.
const MISSED_AFTER = 5_000;
// After an error that calling again may not mend, in milliseconds.
const PAUSE = 1_000;
const CLOSE_TIMEOUT = 1_000;

/** The part of a broker that its schedules use. */
export interface RepeaterOptions {
  readonly store: EventStore;
  /** The stream whose shared states keep the schedules. */
  readonly stream: string;
  readonly codecs: EventCodecs;
  layoutOf(stream: string): StreamLayout | undefined;
  /** Runs `publish`, which publishes the event, for observers. */
  observed<T>(event: DomainEvent, publish: () => Promise<T>): Promise<T>;
  retrying(error: unknown, delay: number): void;
  failed(error: unknown): void;
  appended(stream: string, count: number, bytes: number): void;
}

/** Makes the event of a tick. */
export type TickFactory = (tick: { readonly name: string; readonly time: Date }) => unknown;

/** A schedule in this process. */
interface Job {
  readonly name: string;
  factory: TickFactory;
  readonly changed: WakeUp;
  /** The ticks of a definition, by its id. */
  ticks: { readonly id: string; readonly ticks: Ticks } | undefined;
}

/**
 * Publishes events again and again. Each tick is claimed in the shared state of its schedule, together with its encoded event,
 * by one broker; then it is appended as a numbered batch of a producer that all brokers share, so that it is stored once,
 * whoever appends it.
 */
export class Repeater {
  #options: RepeaterOptions;
  #id = crypto.randomUUID();
  #jobs = new Map<string, Job>();
  #running = new Set<Promise<void>>();
  #closed = false;

  constructor(options: RepeaterOptions) {
    this.#options = options;
  }

  #state(name: string): SharedState {
    return this.#options.store.state(this.#options.stream, `schedule:${name}`);
  }

  /** Defines a schedule, or changes it, and publishes its events while this broker is open. */
  async add(name: string, rule: ScheduleRule, missed: MissedTicks, factory: TickFactory): Promise<void> {
    // Throws for a pattern that cannot be read.
    await ticksOf(name, rule, Date.now());
    await this.#changeNames((names) => names.includes(name) ? names : [...names, name]);
    await this.#change(name, (before, now) => {
      if (before !== undefined && isSame(before, rule, missed)) return before;
      return { rule, missed, id: crypto.randomUUID(), start: now, last: now, count: 0 };
    });
    const job = this.#jobs.get(name);
    if (job !== undefined) {
      job.factory = factory;
      return job.changed.wake();
    }
    const added: Job = { name, factory, changed: new WakeUp(), ticks: undefined };
    this.#jobs.set(name, added);
    const running = this.#run(added).finally(() => this.#running.delete(running));
    this.#running.add(running);
  }

  /** Removes a schedule; resolves with false if there is none. */
  async remove(name: string): Promise<boolean> {
    let found = false;
    await this.#change(name, (before) => {
      found = before !== undefined;
      return undefined;
    });
    await this.#changeNames((names) => names.filter((other) => other !== name));
    return found;
  }

  /** All schedules of the store. */
  async list(): Promise<ScheduleInfo[]> {
    const { store, stream } = this.#options;
    const names = namesIn((await store.state(stream, "schedules").read()).text);
    const texts = await Promise.all(names.map((name) => this.#state(name).read()));
    const infos: ScheduleInfo[] = [];
    for (const [nth, { text }] of texts.entries()) {
      const definition = definitionIn(text);
      if (definition === undefined) continue;
      const { rule, missed, start, last, count } = definition;
      const next = (await ticksOf(names[nth]!, rule, start)).after(last);
      infos.push({
        name: names[nth]!,
        ...rule,
        missed,
        published: count,
        last: count === 0 ? undefined : new Date(last),
        next: next === undefined ? undefined : new Date(next),
      });
    }
    return infos;
  }

  async #changeNames(change: (names: readonly string[]) => readonly string[]): Promise<void> {
    const state = this.#options.store.state(this.#options.stream, "schedules");
    for (;;) {
      const { text, version } = await state.read();
      const names = namesIn(text);
      const changed = change(names);
      if (changed.length === names.length || await state.write(JSON.stringify(changed), version)) return;
    }
  }

  /** Replaces the definition; a tick that was claimed is stored before. */
  async #change(
    name: string,
    change: (before: Definition | undefined, now: number) => Definition | undefined,
  ): Promise<void> {
    const state = this.#state(name);
    for (;;) {
      const read = await state.read();
      const before = definitionIn(read.text);
      if (before?.claim !== undefined) {
        await this.#finish(name, before, read);
        continue;
      }
      const after = change(before, read.now);
      if (after === before) return;
      if (await state.write(after && JSON.stringify(after), read.version)) return;
    }
  }

  async #run(job: Job): Promise<void> {
    for (let failures = 0; !this.#closed;) {
      let wait: number;
      try {
        wait = await this.#step(job);
        failures = 0;
      } catch (error) {
        if (this.#closed) return;
        failures++;
        wait = isTransient(error) ? backoff(RECONNECT, failures) : PAUSE;
        if (isTransient(error)) this.#options.retrying(error, wait);
        else if (failures === 1) this.#options.failed(error);
      }
      if (wait > 0 && !this.#closed) await this.#sleep(job, wait);
    }
  }

  async #sleep(job: Job, ms: number): Promise<void> {
    const timer = startTimer(() => job.changed.wake(), Math.min(POLL, Math.ceil(ms)));
    await job.changed.wait(undefined);
    timer.stop();
  }

  /** Does what is due; resolves with how long to wait, in milliseconds. */
  async #step(job: Job): Promise<number> {
    const read = await this.#state(job.name).read();
    const definition = definitionIn(read.text);
    // Another process has removed it, and may add it again.
    if (definition === undefined) return POLL;
    const { claim, id, rule, start } = definition;
    if (claim !== undefined) {
      const left = claim.by === this.#id ? 0 : claim.at + TAKE_OVER - read.now;
      if (left > 0) return left;
      await this.#finish(job.name, definition, read);
      return 0;
    }
    if (job.ticks?.id !== id) job.ticks = { id, ticks: await ticksOf(job.name, rule, start) };
    const { ticks } = job.ticks;
    const last = afterMissed(definition, ticks, read.now);
    const due = ticks.after(last);
    if (due === undefined) return POLL;
    if (due <= read.now) await this.#publish(job, { ...definition, last: due, count: definition.count + 1 }, read);
    else if (last !== definition.last) {
      await this.#state(job.name).write(JSON.stringify({ ...definition, last }), read.version);
    } else return due - read.now;
    return 0;
  }

  async #publish(job: Job, definition: Definition, { version, now }: SharedText): Promise<void> {
    const { codecs, observed } = this.#options;
    const event = await job.factory({ name: job.name, time: new Date(definition.last) }) as DomainEvent;
    codecs.assertPublishable(event);
    await observed(event, async () => {
      const codec = codecs.ofEvent(event);
      const payload = await (codec.prepare(event) ?? codec.payload(event));
      const { subject } = event;
      const place = await this.#placeOf(codec.stream, subject);
      const claim: TickClaim = { by: this.#id, at: now, subject, fields: codec.encode(event, payload), ...place };
      const claimed = { ...definition, claim };
      const state = this.#state(job.name);
      if (!await state.write(JSON.stringify(claimed), version)) return;
      await this.#finish(job.name, claimed, await state.read());
    });
  }

  async #placeOf(
    logical: string,
    subject: string | undefined,
  ): Promise<Pick<TickClaim, "logical" | "stream" | "layout">> {
    const layout = this.#options.layoutOf(logical);
    if (layout === undefined) return { logical, stream: logical, layout: undefined };
    await layout.agreeNow();
    return { logical, stream: layout.streamOf(subject!), layout: layout.newest.id };
  }

  /** Stores the event of a claimed tick, and notes it. Several brokers may do so at once. */
  async #finish(name: string, definition: Definition, { text, version, now }: SharedText): Promise<void> {
    const { claim, ...rest } = definition;
    // Another broker has done so.
    if (definitionIn(text)?.claim?.by !== claim!.by || definitionIn(text)?.count !== definition.count) return;
    let next: Definition = rest;
    try {
      await this.#append(`schedule:${name}:${definition.id}`, definition, now);
    } catch (error) {
      const kind = isInstance(error, StoreError) ? error.kind : undefined;
      // Another broker has stored this tick, and a later one: only this broker was slow.
      if (kind === "out-of-sequence") return;
      if (kind !== "layout-changed") throw error;
      next = { ...rest, claim: { ...claim!, ...await this.#placeOf(claim!.logical, claim!.subject) } };
    }
    await this.#state(name).write(JSON.stringify(next), version);
  }

  async #append(id: string, { claim, count }: Definition, now: number): Promise<void> {
    const { store, layoutOf, appended } = this.#options;
    const { stream, subject, fields, logical, layout, at } = claim!;
    // The store may have forgotten this batch: then only the stream tells whether it has the event.
    if (now - at > PRODUCER_MEMORY / 2 && await hasEntry(store, stream, at, fields[1]!)) return;
    const producer = { id, sequence: count, decided: count - 1, known: false };
    const options = layout === undefined ? { producer } : { producer, layout };
    const streamLayout = layoutOf(logical);
    if (streamLayout?.revisions) {
      const records = await new Bases(store, stream, streamLayout).add([{ fields, subject: subject! }]);
      await store.appendRevised(stream, records, options);
    } else await store.append(stream, [fields], options);
    appended(stream, 1, fields.reduce((sum, { length }) => sum + length, 0));
  }

  /** Ends the publishing; the schedules stay. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const { changed } of this.#jobs.values()) changed.wake();
    await settledWithin(Promise.all(this.#running), CLOSE_TIMEOUT);
  }
}

/** The last tick that is dealt with, after those were left out that were missed. */
function afterMissed({ last, missed }: Definition, ticks: Ticks, now: number): number {
  const due = ticks.after(last);
  if (missed === "all" || due === undefined || due > now - MISSED_AFTER) return last;
  const newest = ticks.before(now - MISSED_AFTER) ?? last;
  if (missed === "skip") return Math.max(last, newest);
  // Of those that were missed, the newest one is published, unless a later one is due anyway.
  const later = ticks.after(newest);
  return later !== undefined && later <= now ? newest : Math.max(last, ticks.before(newest - 1) ?? last);
}

async function hasEntry(store: EventStore, stream: string, since: number, id: string): Promise<boolean> {
  for await (const page of store.read(stream, { from: firstPositionAt(since - MISSED_AFTER) })) {
    if (page.some(({ fields }) => fields[0] === "id" && fields[1] === id)) return true;
  }
  return false;
}
