import type {
  Claim,
  ClaimOptions,
  DeliveryRef,
  GroupMember,
  HeldDeliveries,
  KeyedDelivery,
  Outcome,
  Position,
  SharedText,
} from "../../store/mod.ts";
import type { Changes } from "../connection/_changes.ts";
import type { Database } from "../connection/_database.ts";
import { claim, type Known, nextClaim } from "./_claim.ts";
import { assertGroup, leave, lost, type Seat, setStalled, touch } from "./_consumer.ts";
import { controlOf, groupById } from "./_group.ts";
import { held } from "./_holds.ts";
import { keep, kept } from "./_kept.ts";
import { settle } from "./_settle.ts";

/** One consumer of a group in an SQLite file. */
export class SqliteMember implements GroupMember {
  readonly consumer: string;
  #db: Database;
  #changes: Changes;
  #now: () => number;
  #seat: Seat;
  #known: Known;
  #left = new AbortController();

  constructor(db: Database, changes: Changes, now: () => number, seat: Seat, epoch: number) {
    this.consumer = seat.consumer;
    this.#db = db;
    this.#changes = changes;
    this.#now = now;
    this.#seat = seat;
    this.#known = { epoch, controlVersion: 0 };
  }

  async claim({ limit, signal, newFirst = false }: ClaimOptions): Promise<Claim> {
    const which = { limit, newFirst };
    const ended = AbortSignal.any([signal, this.#left.signal]);
    try {
      while (!ended.aborted) {
        const seen = this.#changes.count(this.#seat.stream);
        const found = await this.#db.write(
          () => claim(this.#db, this.#now(), this.#seat, this.#known, which),
          ended,
        );
        const { epoch, controlVersion, nextChange, ...claimed } = found;
        const disturbed = epoch !== this.#known.epoch;
        this.#known = { epoch, controlVersion };
        const { records, missing, removed, control } = claimed;
        const isNews = missing.length > 0 || removed !== undefined || control !== undefined || disturbed;
        if (records.length > 0 || isNews || limit === 0) {
          return { ...claimed, disturbed };
        }
        await this.#wait(nextChange, seen, ended);
      }
    } catch (error) {
      // A failed transaction has taken nothing, so nothing is lost when the error of an ended claim is dropped.
      if (!ended.aborted) throw error;
    }
    return { records: [], missing: [], disturbed: false };
  }

  // One change wakes many members. Each looks in a read transaction first, since that locks out no writer.
  async #wait(next: number, seen: number, ended: AbortSignal): Promise<void> {
    while (!ended.aborted && next > this.#now()) {
      await this.#changes.wait(this.#seat.stream, seen, ended, next - this.#now());
      if (ended.aborted) return;
      seen = this.#changes.count(this.#seat.stream);
      next = await this.#db.read(() => nextClaim(this.#db, this.#seat, this.#known));
    }
  }

  renew(held: readonly DeliveryRef[], { stalled }: { readonly stalled?: boolean } = {}): Promise<readonly Position[]> {
    return this.#db.write(() => {
      assertGroup(this.#db, this.#seat);
      touch(this.#db, this.#now(), this.#seat);
      if (stalled !== undefined) setStalled(this.#db, this.#seat, stalled);
      return lost(this.#db, this.#seat, held);
    });
  }

  async settle(outcomes: readonly Outcome[]): Promise<readonly Position[]> {
    const { refused, parked } = await this.#db.write(() => settle(this.#db, this.#now(), this.#seat, outcomes));
    if (parked) this.#changes.wake(this.#seat.stream);
    return refused;
  }

  held(deliveries: readonly KeyedDelivery[]): Promise<HeldDeliveries> {
    return this.#db.read(() => {
      return held(this.#db, assertGroup(this.#db, this.#seat), deliveries);
    });
  }

  async control(): Promise<SharedText> {
    const control = await this.#db.read(() => controlOf(groupById(this.#db, this.#seat.groupId), this.#now()));
    this.#known = { ...this.#known, controlVersion: control.version };
    return control;
  }

  keep(delivery: DeliveryRef, name: string, text: string): Promise<boolean> {
    return this.#db.write(() => keep(this.#db, this.#seat, delivery, name, text));
  }

  kept(delivery: DeliveryRef): Promise<Readonly<Record<string, string>>> {
    return this.#db.read(() => kept(this.#db, this.#seat, delivery));
  }

  async leave(): Promise<boolean> {
    this.#left.abort();
    await this.#db.write(() => leave(this.#db, this.#now(), this.#seat));
    this.#changes.wake(this.#seat.stream);
    return true;
  }
}
