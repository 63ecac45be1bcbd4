import { recordIn } from "../../events/_state.ts";
import type { DomainEvent } from "../../events/mod.ts";
import type { EventStore, Position, ScheduleRange, ScheduleState, StreamSchedule, When } from "../../store/mod.ts";
import type { EventCodec } from "../codec/_event_codec.ts";
import { typeOf } from "../codec/_stream_codec.ts";
import { UndecodableError } from "../errors.ts";
import type { StreamLayouts } from "../partitions/_stream_layouts.ts";
import { scheduledAs } from "../publishing/_append.ts";
import { leave } from "./_leave.ts";
import { isLayoutChanged, type Place, placesOf } from "./_places.ts";

// The position that a decoder gets for an event that has none yet.
const NOWHERE: Position = "0-0";

/** The schedules of all partitions of a stream. */
export class Scheduled {
  #store: EventStore;
  #layouts: StreamLayouts;

  constructor(store: EventStore, layouts: StreamLayouts) {
    this.#store = store;
    this.#layouts = layouts;
  }

  #at({ stream, layout }: Place): StreamSchedule {
    return this.#store.schedule(stream, layout);
  }

  /** How many events wait, and when the first of them is due. */
  async state(stream: string): Promise<Pick<ScheduleState, "waiting" | "due">> {
    const layout = this.#layouts.of(stream);
    await layout?.check();
    const { current, former } = placesOf(stream, layout);
    const states = await Promise.all([...former, ...current].map((place) => this.#at(place).state()));
    const dues = states.flatMap(({ due }) => due ?? []);
    return {
      waiting: states.reduce((sum, { waiting }) => sum + waiting, 0),
      due: dues.length === 0 ? undefined : dues.reduce((a, b) => Math.min(a, b)),
    };
  }

  /** The waiting events of one class, by due time. */
  async *list<E extends DomainEvent>(codec: EventCodec<E>, range: ScheduleRange): AsyncGenerator<E, void, void> {
    const layout = this.#layouts.of(codec.stream);
    await layout?.check();
    const { current, former } = placesOf(codec.stream, layout);
    const sources = [...former, ...current].map((place) => eventsOf(this.#at(place), codec, range));
    try {
      const heads = await Promise.all(sources.map((source) => source.next()));
      for (;;) {
        let first = -1;
        for (const [nth, { done, value }] of heads.entries()) {
          if (!done && (first < 0 || value.due < heads[first]!.value!.due)) first = nth;
        }
        if (first < 0) return;
        yield heads[first]!.value!.event;
        heads[first] = await sources[first]!.next();
      }
    } finally {
      await Promise.all(sources.map((source) => source.return()));
    }
  }

  /** Cancels an event; resolves with true if it was still waiting. */
  async cancel(codec: EventCodec, id: string): Promise<boolean> {
    const key = keyOf(codec, id);
    const cancelled = await this.#change(codec.stream, async (place) => await this.#at(place).cancel(key) || undefined);
    return cancelled !== undefined;
  }

  /** Changes when an event is due. Resolves with its place and in how many milliseconds it is due, if it was still waiting. */
  async move(
    codec: EventCodec,
    id: string,
    when: When,
  ): Promise<{ readonly place: Place; readonly wait: number } | undefined> {
    const key = keyOf(codec, id);
    return await this.#change(codec.stream, async (place) => {
      const { dues: [due], now } = await this.#at(place).move(key, when);
      return due === undefined ? undefined : { place, wait: due - now };
    });
  }

  /** Calls `act` for each schedule; resolves with a result other than undefined, if there is one. */
  async #change<T>(stream: string, act: (place: Place) => Promise<T | undefined>): Promise<T | undefined> {
    const layout = this.#layouts.of(stream);
    let found: T | undefined;
    for (;;) {
      await layout?.check();
      const { current, former } = placesOf(stream, layout);
      try {
        // An event in the schedule of an earlier layout first moves to where it can be changed.
        for (const place of former) {
          if ((await this.#at(place).state()).waiting > 0) await leave(this.#store, layout!, place);
        }
        await Promise.all(current.map(async (place) => found = await act(place) ?? found));
        return found;
      } catch (error) {
        if (!isLayoutChanged(error)) throw error;
        if (found !== undefined) return found;
        await layout!.refresh();
      }
    }
  }
}

function keyOf({ definition: { type, stream } }: EventCodec, id: string): string {
  return type === stream ? id : scheduledAs(type, id);
}

async function* eventsOf<E extends DomainEvent>(
  schedule: StreamSchedule,
  codec: EventCodec<E>,
  range: ScheduleRange,
): AsyncGenerator<{ readonly event: E; readonly due: number }, void, void> {
  const { type, stream } = codec.definition;
  for await (const page of schedule.list(range)) {
    for (const { fields, due } of page) {
      if (typeOf(fields, stream, false) !== type) continue;
      const event = await codec.decode({ position: NOWHERE, fields });
      if (event instanceof UndecodableError) throw event;
      const record = recordIn(event);
      record.position = undefined;
      record.scheduledFor = due;
      yield { event, due };
    }
  }
}
