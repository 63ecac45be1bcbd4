import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  type ClaimedRecord,
  comparePositions,
  type EventStore,
  type GroupMember,
  type LetterRecord,
  MAX_WAITING,
  type Outcome,
  type Position,
  positionTime,
  type WhenDead,
} from "../../src/store/mod.ts";
import { assertRefused, claimFor, outcomeOf, type Settlement } from "./_calls.ts";
import type { Command, Ending, Place } from "./_commands.ts";
import { ModelSubjects, ownFields } from "./_model_subjects.ts";
import { type Delivery, type Hand, type Member, Model, ModelGroup, type Types } from "./_model.ts";

const STREAM = "Stream";
const GROUPS = ["one", "two"];
const LEASES = [50, 100, 1_000];
const KEYS = ["a", "b"];
/** The types of entries; the last one is the stream's own. */
const ENTRY_TYPES = ["Ended", "Placed", STREAM];
const TYPES: readonly Types[] = [undefined, ["Placed"], ENTRY_TYPES];

/** Acknowledges a delivery, whether or not its key is held. */
const ACK: Ending = { kind: "ack", delay: 0, again: false, version: 2, keyed: true, heeds: false };

/** The type of the entry with this text. */
const typeOf = (text: string) => ENTRY_TYPES[parseInt(text) % ENTRY_TYPES.length]!;

/** The key of the entry with this text. */
const keyOf = (text: string) => KEYS[parseInt(text) % KEYS.length]!;

/** The fields of the entry with this text: it says its type, unless the stream has the same name. */
function fieldsOf(text: string): string[] {
  return typeOf(text) === STREAM ? ["id", text] : ["id", text, "type", typeOf(text)];
}

interface ClaimedHand extends Hand {
  /** What its claim said of held keys. */
  readonly holding: number | undefined;
  /** How often the letters of the model had ceased to hold a key. */
  readonly freed: number;
}

/** A member of the store, and the same member of the model. */
interface Seat {
  readonly group: ModelGroup;
  readonly groupName: string;
  readonly model: Member;
  readonly real: GroupMember;
  /** The deliveries that it claimed, settled and lost ones included. */
  hands: ClaimedHand[];
}

/** Opens stores over the same data, with the same clock. */
export type Open = (now: () => number) => Promise<readonly EventStore[]>;

/** What the port leaves to a store. */
export interface Leeway {
  /** Whether a claim may overlook deferred deliveries that are expired: the port allows a quarter of the lease. */
  readonly expiresLate?: boolean;
  /**
   * Whether a claim of an exclusive member may also read new entries and give them back to the group, because deliveries have
   * returned that come before them.
   */
  readonly readsAhead?: boolean;
  /**
   * How many bytes the store counts for an entry. `"large"` if it measures approximately, and any entry takes more than the
   * commands allow.
   */
  readonly sizeOf: ((fields: readonly string[]) => number) | "large";
}

/** The deliveries that a member still has. */
function heldHands({ group, model, hands }: Seat): ClaimedHand[] {
  return hands.filter((hand) => group.holds(model, hand));
}

/** Runs commands on a model and on a store, and asserts after each command that they agree. */
export class Run {
  readonly model: Model;
  #stores: readonly EventStore[] = [];
  #turn = 0;
  #seats: Seat[] = [];
  #texts = 0;
  #subjects = new ModelSubjects();
  #leeway: Leeway;

  private constructor(leeway: Leeway) {
    const { sizeOf } = leeway;
    this.#leeway = leeway;
    this.model = new Model(sizeOf === "large" ? sizeOf : (text) => sizeOf(this.#fieldsOf(text)));
  }

  /** All fields of the entry with this text. */
  #fieldsOf(text: string): string[] {
    return [...fieldsOf(text), ...this.#subjects.fieldsOf(text)];
  }

  static async open(open: Open, leeway: Leeway): Promise<Run> {
    const run = new Run(leeway);
    run.#stores = await open(() => run.model.now);
    return run;
  }

  async all(commands: readonly Command[]): Promise<void> {
    for (const command of commands) {
      await this.#do(command);
      await this.#compare();
    }
    await this.#drain();
  }

  // The stores over the same data take turns, so that none can rely on its own memory.
  get #store(): EventStore {
    return this.#stores[this.#turn++ % this.#stores.length]!;
  }

  #seat({ member, ...command }: Command & { member: number }): Seat | undefined {
    // Mostly one that gets deliveries, or has some to settle: others do nothing.
    const useful = this.#seats.filter((seat) =>
      command.do === "claim" ? seat.group.refusal(seat.model, seat.model) === undefined : heldHands(seat).length > 0
    );
    const seats = useful.length > 0 && member < 5 ? useful : this.#seats;
    return seats[member % seats.length];
  }

  #place({ at, index }: Place): "beginning" | "now" | Position {
    const entries = this.model.entries;
    if (at === "beginning" || at === "now") return at;
    if (at === "future" || entries.length === 0) return `${this.model.now + 30}-0`;
    const { position } = entries[index % entries.length]!;
    // "between": after all entries of its millisecond.
    return at === "entry" ? position : `${positionTime(position)}-1000000`;
  }

  async #do(command: Command): Promise<void> {
    switch (command.do) {
      case "append":
        return await this.#append(command.count);
      case "revise":
        return await this.#revise(command);
      case "read subject": {
        const texts = new Set(this.model.entries.map(({ text }) => text));
        return await this.#subjects.read(this.#store, STREAM, command, (text) => texts.has(text));
      }
      case "join":
        return await this.#join(command);
      case "advance":
        this.model.now += command.ms;
        return;
      case "trim":
        return await this.#trim(command);
      case "rewind":
        return await this.#rewind(GROUPS[command.group]!, this.#place(command.to));
      case "alter":
        return await this.#alter(GROUPS[command.group]!, TYPES[command.types], command.whenDead);
      case "redrive":
      case "discard":
        return await this.#pick(command.do, GROUPS[command.group]!, command.which);
    }
    const seat = this.#seat(command);
    if (seat === undefined) return;
    if (command.do === "claim") await this.#claim(seat, command.limit);
    else if (command.do === "settle") await this.#settle(seat, command.endings, command.late);
    else if (command.do === "renew") await this.#renew(seat);
    else if (command.do === "leave") await this.#leave(seat);
    // A crash: half of its lease passes without a renewal. Later commands may find it dead, or still alive.
    else this.model.now += seat.model.lease / 2;
  }

  async #append(count: number): Promise<void> {
    const texts = this.#newTexts(count);
    const positions = await this.#store.append(STREAM, texts.map(fieldsOf));
    for (const [index, position] of positions.entries()) this.#stored(texts[index]!, position);
    assertEquals(positions.length, count);
  }

  async #revise(command: Command & { do: "revise" }): Promise<void> {
    const stores = [this.#store, this.#store] as const;
    const stored = (text: string, position: Position) => this.#stored(text, position);
    const texts = this.#newTexts(command.subjects.length);
    await this.#subjects.append(stores, STREAM, command, texts, fieldsOf, stored);
  }

  /** Texts of entries of different sizes. */
  #newTexts(count: number): string[] {
    return Array.from({ length: count }, () => `${++this.#texts}`.padEnd((this.#texts * 7) % 25, "."));
  }

  #stored(text: string, position: Position): void {
    if (this.model.last !== undefined) assert(comparePositions(this.model.last, position) < 0);
    this.model.last = position;
    this.model.entries.push({ position, text });
  }

  async #join(command: Command & { do: "join" }): Promise<void> {
    const groupName = GROUPS[command.group]!;
    const startFrom = this.#place(command.from);
    const { version, deferTimeout, exclusive } = command;
    const [consumer, lease] = [`c${command.name}`, LEASES[command.lease]!];
    let group = this.model.groups.get(groupName);
    const own = group === undefined || command.stranger;
    const types = own ? TYPES[command.types] : group!.types;
    const whenDead = own ? command.whenDead : group!.whenDead;
    const options = { consumer, lease, startFrom, version, deferTimeout, exclusive, whenDead, ...(types && { types }) };
    const joining = this.#store.member(STREAM, groupName, options);
    const refusal = group?.refusal({ name: consumer, types, whenDead, exclusive });
    if (refusal !== undefined) return await assertRefused(joining, refusal);
    if (group === undefined) {
      this.model.groups.set(groupName, group = new ModelGroup(this.model, startFrom, types, whenDead));
    }
    const real = await joining;
    this.#seats.push({
      group,
      groupName,
      model: group.join({ name: consumer, lease, version, deferTimeout, exclusive, types, whenDead }),
      real,
      hands: [],
    });
  }

  async #claim(seat: Seat, limit: number): Promise<void> {
    await this.#claimOnce(seat, limit);
    if (!this.#leeway.readsAhead || !seat.model.exclusive) return;
    const { groups } = await this.#store.admin(STREAM).info();
    const { lag } = groups.find(({ name }) => name === seat.groupName)!;
    const ahead = seat.group.unread.slice(0, Math.max(0, seat.group.unread.length - lag));
    assert(ahead.length <= limit, `${ahead.length} entries were read ahead`);
    for (const position of ahead) seat.group.read(position);
  }

  async #claimOnce(seat: Seat, limit: number): Promise<void> {
    const { group, model, real } = seat;
    const refusal = group.touch(model);
    if (refusal !== undefined) {
      return await assertRefused(real.claim({ limit, signal: AbortSignal.timeout(1_000) }), refusal);
    }
    const disturbed = model.seenEpoch !== group.epoch;
    let { returned, gone, fresh } = group.available(model);
    const removed = group.removed.length > 0
      ? { removed: { from: group.removed[0]!, to: group.removed.at(-1)!, count: group.removed.length } }
      : {};
    const nothing = !disturbed && !("removed" in removed) && returned.length + gone.length + fresh.length === 0;
    const { removed: told, holding, ...claim } = await claimFor(real, limit, nothing ? 1 : 2_000);
    if (claim.records.length > 0) await assertHolds(seat, claim.records, holding);
    assertEquals(told === undefined ? {} : { removed: told }, removed, "removed");
    group.removed = [];
    if (nothing) return assertEquals(claim, { records: [], missing: [], disturbed: false });
    model.seenEpoch = group.epoch;
    assertEquals(claim.disturbed, disturbed, "disturbed");
    if (this.#leeway.expiresLate) {
      const sure = group.available(model, { expired: false });
      const sureOnes = new Set([...sure.returned, ...sure.gone].map(({ position }) => position));
      const expired = [...returned, ...gone].map(({ position }) => position).filter((each) => !sureOnes.has(each));
      const taken = [...claim.missing, ...claim.records.map(({ position }) => position)];
      if (!taken.some((position) => expired.includes(position))) ({ returned, gone, fresh } = sure);
    }
    for (const position of claim.missing) {
      const delivery = gone.find((delivery) => delivery.position === position);
      assert(delivery, `${position} was reported missing, but its entry is there`);
      group.drop(delivery);
    }
    const expected = Math.min(limit, returned.length > 0 ? returned.length : fresh.length);
    // A store may report missing entries first, or count them towards the limit. The rest comes with the next claim.
    const taken = claim.records.length + claim.missing.length;
    const partly = claim.missing.length > 0 && (claim.records.length === 0 || taken >= limit);
    if (!partly) assertEquals(claim.records.length, expected, "records in a claim");
    if (!partly && expected < limit) assertEquals(claim.missing.length, gone.length, "missing in a claim");
    const positions = claim.records.map(({ position }) => position);
    assertEquals(positions, positions.toSorted(comparePositions), "order in a claim");
    if (model.exclusive) assertInOrder(positions, returned);
    else assertEarlyFirst(positions, returned, group);
    if (returned.length === 0) assertEquals(positions, fresh.slice(0, positions.length), "new entries in a claim");
    for (const { position, fields, attempt, recovered, expired, dueIn, fence } of claim.records) {
      const delivery = returned.length === 0
        ? group.read(position)
        : returned.find((delivery) => delivery.position === position);
      assert(delivery, `${position} was not available, but was delivered`);
      const tooLate = delivery.deferred !== undefined && !group.isKnown(delivery, model);
      const text = delivery.copy ?? this.model.textOf(position)!;
      assertEquals({ fields: ownFields(fields), attempt, recovered, expired: expired === true, dueIn }, {
        fields: this.#fieldsOf(text),
        attempt: delivery.failures + 1,
        recovered: delivery.recovered,
        expired: tooLate,
        dueIn: group.dueIn(delivery),
      });
      seat.hands.push({ ...group.hand(delivery, model, fence, text), holding, freed: group.freed });
    }
  }

  async #settle(seat: Seat, endings: readonly Ending[], late: number): Promise<void> {
    const { group, model, real, hands } = seat;
    const held = new Set(heldHands(seat));
    // The newest deliveries, and sometimes those that were settled or lost.
    const chosen = [...hands.filter((hand) => !held.has(hand)), ...held].slice(-(endings.length + late)).slice(
      0,
      endings.length,
    );
    const refused: Position[] = [];
    const outcomes = chosen.map((hand, index): Outcome => {
      const { position } = hand.delivery;
      const settlement = this.#settlement(seat, hand, endings[index]!);
      if (group.holds(model, hand)) this.#end(group, hand, settlement);
      else refused.push(position);
      return outcomeOf({ position, fence: hand.fence }, settlement);
    });
    assertEquals(await real.settle(outcomes), refused, "refused by settle");
  }

  #settlement({ group, model }: Seat, { delivery: { position }, text, attempt }: Hand, ending: Ending): Settlement {
    const { heeds, again } = ending;
    const key = keyOf(text);
    const waits = ending.kind === "ack" && heeds && group.isBehind(position, key);
    return {
      ...ending,
      kind: (model.types ?? [STREAM]).includes(typeOf(text)) ? (waits ? "wait" : ending.kind) : "skip",
      attempt: again ? Math.max(1, attempt - 1) : attempt,
      // Only entries above the version of the consumer are deferred.
      version: Math.max(ending.version, model.version + 1),
      key,
    };
  }

  #end(group: ModelGroup, hand: Hand, { kind, attempt, delay, version, key, keyed }: Settlement): void {
    const { delivery } = hand;
    // The letter of a removed entry has no fields. The model leaves it out.
    if (kind === "skip") return group.skip(delivery);
    if (kind === "expire") return group.expire(delivery);
    if (kind === "ack" || (kind === "dead" && group.isGone(delivery))) return group.drop(delivery);
    if (kind === "dead") return group.bury(delivery, keyed ? key : undefined);
    if (kind === "defer") return group.defer(delivery, version);
    if (kind === "wait") return group.wait(delivery, key);
    if (kind === "isolate") delivery.isolated = true;
    else if (kind === "release") group.release(delivery, delay);
    else group.retry(delivery, attempt, delay, kind === "hold");
    if (kind === "hold") hand.attempt = attempt + 1;
  }

  async #renew({ group, model, real, hands }: Seat): Promise<void> {
    const held = hands.map(({ delivery: { position }, fence }) => ({ position, fence }));
    const refusal = group.touch(model);
    if (refusal !== undefined) return await assertRefused(real.renew(held), refusal);
    const lost = hands.filter((hand) => !group.holds(model, hand)).map(({ delivery }) => delivery.position);
    assertEquals(await real.renew(held), lost, "lost by renew");
  }

  async #leave(seat: Seat): Promise<void> {
    seat.group.leave(seat.model);
    this.#seats = this.#seats.filter((other) => other !== seat);
    assertEquals(await seat.real.leave(), true);
  }

  async #trim({ maxLength, maxBytes, maxAge, force }: Command & { do: "trim" }): Promise<void> {
    const options = {
      force,
      ...(maxLength < 1_000 ? { maxLength } : {}),
      ...(maxBytes < Infinity ? { maxBytes } : {}),
      ...(maxAge < Infinity ? { maxAge } : {}),
    };
    const { removed, pinnedBy } = this.model.trim(options);
    const result = await this.#store.admin(STREAM).trim(options);
    assertEquals(result.removed, removed, "removed by trim");
    assert(pinnedBy.length === 0 ? result.pinnedBy === undefined : pinnedBy.includes(result.pinnedBy!), "pinned by");
  }

  async #rewind(groupName: string, to: "beginning" | "now" | Position): Promise<void> {
    const rewinding = this.#store.admin(STREAM).rewind(groupName, to);
    const group = this.model.groups.get(groupName);
    if (group === undefined) await assertRejects(() => rewinding, RangeError);
    else assertEquals(await rewinding, group.rewind(to));
  }

  async #alter(groupName: string, types: Types, whenDead: WhenDead | undefined): Promise<void> {
    const altering = this.#store.admin(STREAM).alterGroup(groupName, { types, whenDead });
    const group = this.model.groups.get(groupName);
    if (group === undefined) return void await assertRejects(() => altering, RangeError);
    if (group.members.some((member) => group.isAlive(member))) return await assertRefused(altering, "group-busy");
    await altering;
    group.alter(types, whenDead);
  }

  async #pick(act: "redrive" | "discard", groupName: string, which: number): Promise<void> {
    const box = this.#store.admin(STREAM).deadLetters(groupName);
    const letters = await this.#letters(groupName);
    const ids = which === 0 ? undefined : letters.filter((_, index) => index % 4 === which - 1).map(({ id }) => id);
    const chosen = letters.flatMap(({ id }, index) => ids === undefined || ids.includes(id) ? [index] : []);
    const group = this.model.groups.get(groupName);
    for (const letter of chosen.map((index) => group!.letters[index]!)) group![act](letter);
    const done = act === "redrive" ? await box.redrive(ids) : await box.discard(ids === undefined ? {} : { ids });
    assertEquals(done, chosen.length, act);
  }

  // Discards the letters of removed entries, which have no fields: the model leaves them out.
  async #letters(groupName: string): Promise<LetterRecord[]> {
    const pages = await Array.fromAsync(this.#store.admin(STREAM).deadLetters(groupName).list());
    const empty = pages.flat().filter(({ fields }) => fields.length === 0).map(({ id }) => id);
    if (empty.length > 0) await this.#store.admin(STREAM).deadLetters(groupName).discard({ ids: empty });
    return pages.flat().filter(({ fields }) => fields.length > 0);
  }

  async #compare(): Promise<void> {
    const { model } = this;
    const oldestLetters = new Map<string, number | undefined>();
    for (const [name, group] of model.groups) {
      const records = await this.#letters(name);
      oldestLetters.set(name, records[0]?.lastFailedAt);
      const letters = records.map(({ position, fields, key }) => ({ position, text: fields[1], key }));
      assertEquals(letters, group.letters.map(({ position, text, key }) => ({ position, text, key })), "letters");
    }
    const info = await this.#store.admin(STREAM).info();
    const shown = {
      ...info,
      groups: info.groups.map(({ consumers, ...group }) => ({
        ...group,
        alive: consumers.filter(({ alive }) => alive).map(({ name, pending }) => `${name}: ${pending}`).sort(),
      })).sort(byName),
    };
    assertEquals(shown, {
      length: model.entries.length,
      bytes: model.bytes ?? info.bytes,
      first: model.entries[0]?.position,
      last: model.last,
      groups: [...model.groups].map(([name, group]) => ({
        name,
        pending: group.pending.length,
        types: group.types,
        whenDead: group.whenDead,
        held: group.held,
        skipped: group.skipped,
        expired: group.expired,
        retrying: group.pending.filter(({ retryAt }) => retryAt !== undefined && retryAt > model.now).length,
        deferred: group.deferred,
        deadLetters: group.letters.length,
        oldestDeadLetter: oldestLetters.get(name),
        lag: group.unread.length,
        lagIsExact: true,
        floor: group.floor,
        control: undefined,
        alive: this.#seats
          .filter((seat) => seat.group === group && group.isAlive(seat.model))
          .map(({ model, real }) => `${real.consumer}: ${group.heldBy(model).length}`)
          .sort(),
      })).sort(byName),
    });
    const pages = await Array.fromAsync(this.#store.read(STREAM));
    assertEquals(pages.flat().map(({ position, fields }) => ({ position, text: fields[1] })), model.entries);
    await this.#subjects.compare(this.#store, STREAM);
  }

  // When all consumers are dead and all deliveries are due, one new consumer gets everything that is left, each entry once.
  async #drain(): Promise<void> {
    this.model.now += 10_000;
    for (const [groupName, group] of this.model.groups) {
      // Otherwise deliveries that wait behind letters would never come.
      await this.#pick("redrive", groupName, 0);
      await this.#join({
        do: "join",
        group: GROUPS.indexOf(groupName),
        name: 9,
        lease: 2,
        version: 10,
        deferTimeout: Infinity,
        exclusive: false,
        types: 0,
        whenDead: "continue",
        stranger: false,
        from: { at: "now", index: 0 },
      });
      const seat = this.#seats.at(-1)!;
      while (group.pending.length + group.unread.length > 0) {
        await this.#claim(seat, 5);
        await this.#settle(seat, seat.hands.map(() => ACK), 0);
        seat.hands = [];
      }
      await this.#claim(seat, 5);
    }
    await this.#compare();
  }

  async close(): Promise<void> {
    for (const { real } of this.#seats) await real.leave();
    for (const store of this.#stores) await store[Symbol.asyncDispose]();
  }
}

/** Of what returned, an exclusive consumer gets the lowest positions first, and deferred deliveries after all others. */
function assertInOrder(claimed: readonly Position[], returned: readonly Delivery[]): void {
  const parked = returned.filter(({ deferred }) => deferred === undefined).map(({ position }) => position);
  const taken = claimed.filter((position) => parked.includes(position));
  assertEquals(taken, parked.toSorted(comparePositions).slice(0, taken.length), "order of an exclusive consumer");
  const others = claimed.filter((position) => returned.some((delivery) => delivery.position === position));
  if (others.length > taken.length) assertEquals(taken.length, parked.length, "deferred deliveries come last");
}

/** Deliveries that waited for their key, and redriven ones, come before all others, the lowest positions first. */
function assertEarlyFirst(claimed: readonly Position[], returned: readonly Delivery[], { whenDead }: ModelGroup): void {
  if (whenDead === "continue") return;
  const early = returned.filter(({ early }) => early).map(({ position }) => position);
  const taken = claimed.filter((position) => early.includes(position));
  assertEquals(taken, early.toSorted(comparePositions).slice(0, taken.length), "order of freed deliveries");
  const others = returned.filter(({ early, position }) => !early && claimed.includes(position));
  if (others.length > 0) assertEquals(taken.length, early.length, "freed deliveries come first");
}

/** Asserts which of these deliveries have to wait for each key, and that their claim says so. */
async function assertHolds(
  { group, real, hands }: Seat,
  records: readonly ClaimedRecord[],
  holding: number | undefined,
): Promise<void> {
  if (group.whenDead === "continue") return assertEquals(holding, undefined, "a claim says that keys are held");
  const keyed = records.flatMap(({ position }) => KEYS.map((key) => ({ position, key })));
  const { positions, room, freed } = await real.held(keyed);
  const behind = keyed.filter(({ position, key }) => group.isBehind(position, key));
  assertEquals(positions, behind.map(({ position }) => position), "held");
  assertEquals(room, MAX_WAITING - group.held.waiting, "room");
  if (group.held.keys > 0) assert(holding !== undefined, "a claim does not say that keys are held");
  for (const hand of hands) {
    if (hand.holding !== undefined && hand.freed !== group.freed) {
      assert(hand.holding !== freed, "letters ceased to hold a key since an earlier claim, and nothing says so");
    }
  }
}

// Stores may list groups in any order.
function byName(a: { name: string }, b: { name: string }): number {
  return a.name < b.name ? -1 : 1;
}
