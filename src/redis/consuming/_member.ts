import {
  type Claim,
  type ClaimOptions,
  comparePositions,
  type DeliveryRef,
  type GroupMember,
  type Healed,
  type HeldDeliveries,
  type KeyedDelivery,
  MAX_WAITING,
  type MemberOptions,
  type Outcome,
  type Position,
  type SharedText,
  type StoredRecord,
  StoreError,
  type StoreErrorKind,
  type WhenDead,
} from "../../store/mod.ts";
import { tooMuchKept } from "../../store/_kept.ts";
import { reachOf } from "../../store/_reach.ts";
import type { BlockingReader } from "./_blocking_reader.ts";
import type { Reply } from "../connection/client.ts";
import { isNoGroup } from "../connection/_reply_error.ts";
import { readControl } from "./_control.ts";
import { ExclusiveSource } from "./_exclusive_source.ts";
import { outcomeArgs, parseFence } from "./_fence.ts";
import { groupError } from "../_group_error.ts";
import { type GroupKeys, holdingKeyList, keyList } from "../_keys.ts";
import { HeldClaims, type Settlement } from "./_held_claims.ts";
import { type Joined, Recovery } from "./_recovery.ts";
import { after } from "../connection/_replies.ts";
import type { Script } from "../connection/_script.ts";
import { SharedSource } from "./_shared_source.ts";
import { claimOf, type Source } from "./_source.ts";
import type { Route } from "../connection/_topology.ts";
import { ANNOUNCE } from "../scripts/consuming/announce.ts";
import { HEAL } from "../scripts/consuming/heal.ts";
import { KEEP } from "../scripts/consuming/keep.ts";
import { LEAVE } from "../scripts/consuming/leave.ts";
import { RENEW } from "../scripts/consuming/renew.ts";
import { SETTLE, SETTLE_HOLDING } from "../scripts/consuming/settle.ts";
import type { Waker } from "./_waker.ts";

// How many deliveries one LEAVE releases: more take several calls, so that none blocks the server for long.
const LEAVE_AT_ONCE = 1_000;

// Why a group refuses all outcomes of a consumer.
const REFUSING: readonly StoreErrorKind[] = ["group-deleted", "types-differ", "policy-differs"];

/** The surroundings of a member. */
export interface MemberContext {
  readonly link: Route;
  readonly keys: GroupKeys;
  readonly group: string;
  readonly consumer: string;
  readonly options: MemberOptions;
  readonly reader: BlockingReader;
  readonly waker: Waker;
  /** The member has left, or could not: it needs its reader no more. */
  left(): void;
}

/** One consumer in a group of a Redis stream. It reads new entries, and a script looks for returned deliveries. */
export class RedisMember implements GroupMember {
  readonly consumer: string;
  #context: MemberContext;
  #source: Source;
  #recovery: Recovery;
  #held = new HeldClaims();
  #life: string;
  /** Set once the group was made again, until `claim` reports that. */
  #healing: Healed | undefined;
  #leaving = false;

  constructor(context: MemberContext, joined: Joined) {
    const { link, keys, group, consumer, reader, options: { lease } } = context;
    this.#context = context;
    this.consumer = consumer;
    this.#life = joined.life;
    this.#healing = joined.healed;
    const run = (script: Script, args: readonly string[]) => this.#run(script, args);
    const recovery = this.#recovery = new Recovery({
      link,
      keys,
      group,
      consumer,
      lease,
      reach: reachOf(context.options),
      exclusive: context.options.exclusive === true,
      holding: this.#holding,
      run,
      known: () => {
        const kept = new Set(this.#source.kept);
        return (position) => this.#held.has(position) || kept.has(position);
      },
      // If the consumer was given up for dead, the group has forgotten its connection.
      generationChanged: () => this.#source.announceAgain(),
    }, joined);
    const reading = {
      link,
      keys,
      stream: keys.stream,
      group,
      consumer,
      reader,
      announce: (connection: string) => run(ANNOUNCE, [connection]),
      // Deliveries that returned before this moment did not end the read. Later ones do.
      blocked: () => void recovery.check(),
      woken: () => recovery.lookNow(),
      arrived: () => recovery.wake(),
    };
    this.#source = context.options.exclusive
      ? new ExclusiveSource(recovery, reading)
      : new SharedSource(recovery, reading);
  }

  async #run(script: Script, args: readonly string[]): Promise<Reply> {
    const { link, keys, group, options } = this.#context;
    try {
      const all = this.#holding || script === HEAL ? holdingKeyList(keys) : keyList(keys);
      return await script.run(link, all, [group, this.consumer, this.#life, ...args]);
    } catch (error) {
      throw groupError(error, keys.stream, group, options);
    }
  }

  get #holding(): boolean {
    return this.#context.options.whenDead === "hold-key";
  }

  get stream(): string {
    return this.#context.keys.stream;
  }

  async claim({ limit, signal, newFirst = false }: ClaimOptions): Promise<Claim> {
    if (limit === 0) return await this.#claimKept();
    try {
      if (this.#healing !== undefined) return this.#reportHealing(this.#healing);
      for (let first = newFirst && !this.#context.options.exclusive; !signal.aborted && !this.#leaving; first = false) {
        const claim = await this.#source.next(limit, first).catch((error) => this.#healed(error));
        if (this.#healing !== undefined) return this.#reportHealing(this.#healing);
        if (claim !== undefined || this.#recovery.controlChanged) return await this.#claimed(claim ?? claimOf([]));
        // Leaving wakes the wait once: it must not begin after that.
        if (!first && !this.#leaving) await this.#recovery.wait(signal);
      }
      return claimOf([]);
    } finally {
      this.#source.pause();
    }
  }

  async #claimed(claim: Claim): Promise<Claim> {
    this.#held.add(claim.records);
    const { holding, controlChanged } = this.#recovery;
    const told = holding === undefined ? claim : { ...claim, holding };
    return controlChanged ? await this.#withControl(told) : told;
  }

  async #withControl(claim: Claim): Promise<Claim> {
    try {
      return { ...claim, control: await this.control() };
    } catch (error) {
      // What else there is to tell must reach the caller. The next claim tells the control.
      const { records, missing, removed, disturbed } = claim;
      if (records.length === 0 && missing.length === 0 && removed === undefined && !disturbed) throw error;
      return claim;
    }
  }

  /** All records that were taken for claims that have ended. */
  async #claimKept(): Promise<Claim> {
    const claims = await this.#source.rest();
    const records = claims.flatMap(({ records }) => records);
    return await this.#claimed({ ...claimOf(records), missing: claims.flatMap(({ missing }) => missing) });
  }

  async control(): Promise<SharedText> {
    const { link, keys } = this.#context;
    const control = await readControl(link, keys.meta);
    this.#recovery.learnedControl(control.version);
    return control;
  }

  #reportHealing(healed: Healed): Claim {
    this.#healing = undefined;
    return { ...claimOf([]), disturbed: true, healed };
  }

  /** Keeps records that came after their wait had ended. */
  spill(records: readonly StoredRecord[]): void {
    this.#source.spill(records);
  }

  /**
   * Makes the group again if the error says that there is none.
   *
   * @throws The error, if it says anything else.
   */
  async #healed(error: unknown): Promise<undefined> {
    if (!isNoGroup(error)) throw error;
    const held = [...this.#held.positions(), ...this.#source.kept].sort(comparePositions);
    const { types, whenDead } = this.#context.options;
    const checkpoint = [held[0] ?? this.#source.last ?? "", held.length > 0 ? "1" : "0"];
    const reply = await this.#run(HEAL, [...checkpoint, types?.join(" ") ?? "", whenDeadArg(whenDead)]);
    const healed = healedOf(reply as HealReply);
    if (healed !== undefined) this.#healing = { ...healed, mayRepeat: healed.mayRepeat || held.length > 0 };
    // The new group will read the buffered records again.
    this.#source.clear();
    this.#recovery.lookNow();
  }

  async renew(
    held: readonly DeliveryRef[],
    { stalled }: { readonly stalled?: boolean } = {},
  ): Promise<readonly Position[]> {
    const flag = stalled === undefined ? "" : stalled ? "1" : "0";
    const current = held.filter(({ position, fence }) => this.#held.holds(position, fence));
    // The script looks at the deliveries only if the consumer's generation has risen since the oldest of them was claimed.
    const oldest = current.reduce(
      (least, { fence }) => Math.min(least, Number(parseFence(fence).generation)),
      this.#recovery.generation,
    );
    const { lease, exclusive } = this.#context.options;
    const args = current.flatMap(({ position, fence }) => [position, parseFence(fence).epoch, parseFence(fence).count]);
    try {
      const reply = await this.#run(RENEW, [`${lease}`, flag, `${oldest}`, exclusive ? "1" : "", ...args]);
      const [generation, , lost] = reply as [number, number, readonly Position[]];
      this.#recovery.noteGeneration(generation);
      for (const position of lost) this.#held.delete(position);
      return held.filter(({ position, fence }) => !this.#held.holds(position, fence)).map(({ position }) => position);
    } catch (error) {
      await this.#healed(error);
      return held.map(({ position }) => position);
    }
  }

  async settle(outcomes: readonly Outcome[]): Promise<readonly Position[]> {
    try {
      const refused = await this.#settle(this.#held.sort(outcomes));
      if (refused !== undefined) return refused;
      // Deliveries were taken from this consumer, so the script has to compare all fences.
      return await this.#settle({ generation: "0", plain: [], skipped: 0, others: outcomes }) ?? [];
    } catch (error) {
      // A group that is gone, or has other terms, refuses all outcomes.
      if (!isRefusal(error)) await this.#healed(error);
      return outcomes.map(({ position }) => position);
    }
  }

  /** Runs SETTLE; undefined if the consumer's generation has risen since the plain deliveries were claimed. */
  async #settle(settlement: Settlement): Promise<readonly Position[] | undefined> {
    const { generation, plain, skipped, others } = settlement;
    const args = [generation, `${plain.length}`, `${skipped}`, ...plain, ...others.flatMap(outcomeArgs)];
    const reply = await this.#run(this.#holding ? SETTLE_HOLDING : SETTLE, args);
    const [done, refused, connections, before, bell, held, back] = reply as readonly [
      number,
      readonly Position[],
      Reply,
      string,
      string,
      number?,
      number?,
    ];
    if (done === 0) return undefined;
    this.#context.waker.wake(connections);
    this.#held.settled(settlement, refused);
    this.#recovery.settled(others, before, bell);
    if (held !== undefined) this.#recovery.noteHeldKeys(held);
    if (back !== undefined && back > 0) this.#recovery.lookNow();
    return refused;
  }

  async held(deliveries: readonly KeyedDelivery[]): Promise<HeldDeliveries> {
    const { link, keys: { deadKeys, meta, waiting } } = this.#context;
    const [from, waits, freed] = await Promise.all([
      deliveries.length === 0 ? [] : link.send(["HMGET", deadKeys, ...deliveries.map(({ key }) => key)]),
      link.send(["ZCARD", waiting]),
      // After the keys: if one of them is freed in between, this number tells.
      link.send(["HGET", meta, "freed"]),
    ]) as [readonly (Position | null)[], number, string | null];
    this.#recovery.noteFreed(Number(freed ?? 0));
    const isBehind = ({ position }: KeyedDelivery, nth: number) => {
      const first = from[nth] ?? null;
      return first !== null && comparePositions(first, position) < 0;
    };
    return {
      positions: deliveries.filter(isBehind).map(({ position }) => position),
      room: MAX_WAITING - Number(waits),
      freed: Number(freed ?? 0),
    };
  }

  async keep({ position, fence }: DeliveryRef, name: string, text: string): Promise<boolean> {
    if (!this.#held.holds(position, fence)) return false;
    // Before the reply, which may be lost.
    this.#held.keepsState(position);
    const { epoch, count } = parseFence(fence);
    try {
      const reply = await this.#run(KEEP, [position, epoch, count, name, text]);
      if (reply === 2) throw tooMuchKept(name);
      return reply === 1;
    } catch (error) {
      if (!isRefusal(error)) await this.#healed(error);
      return false;
    }
  }

  async kept({ position }: DeliveryRef): Promise<Readonly<Record<string, string>>> {
    const { link, keys: { work } } = this.#context;
    const line = await link.send(["HGET", work, position]) as string | null;
    // Behind six numbers.
    const text = line?.split(" ").slice(6).join(" ");
    return text ? JSON.parse(text) as Record<string, string> : {};
  }

  async leave(): Promise<boolean> {
    this.#leaving = true;
    this.#recovery.wake();
    const { waker, left } = this.#context;
    // A read that runs after the consumer was removed would create the consumer again, and take entries.
    await this.#source.close();
    try {
      for (let gone = 0; gone === 0;) {
        const reply = await this.#run(LEAVE, [`${LEAVE_AT_ONCE}`]) as readonly [number, Reply];
        gone = reply[0];
        waker.wake(reply[1]);
      }
      // The connection may be closed right after this, and no other consumer knows of the returned deliveries yet.
      await waker.sent();
    } catch (error) {
      // The group is gone, and all deliveries with it; or it has other terms, and recovers them.
      if (!isRefusal(error)) throw error;
    } finally {
      left();
    }
    return true;
  }
}

/** The argument of JOIN and HEAL that tells whether a consumer has its group hold keys. */
export function whenDeadArg(whenDead: WhenDead | undefined): string {
  return whenDead === "hold-key" ? whenDead : "";
}

/** Empty if the group was not lost; else the position after which it goes on, or empty, and 1 if events may repeat. */
export type HealReply = readonly [last?: Position | "", mayRepeat?: number];

/** Where a group goes on that was made again; undefined if it was not. */
export function healedOf([last, mayRepeat]: HealReply): Healed | undefined {
  if (last === undefined) return undefined;
  return { from: last === "" ? undefined : after(last), mayRepeat: mayRepeat === 1 };
}

/** Whether the group refuses this consumer for good. */
function isRefusal(error: unknown): boolean {
  return error instanceof StoreError && REFUSING.includes(error.kind);
}
