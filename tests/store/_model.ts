import {
  comparePositions,
  firstPositionAt,
  type HeldState,
  type Position,
  type StoreErrorKind,
  type WhenDead,
} from "../../src/store/mod.ts";

/** An unsettled delivery, as the comments of the port describe it. */
export interface Delivery {
  readonly position: Position;
  /** The text of a redriven dead letter whose entry was removed. */
  readonly copy: string | undefined;
  owner: Member | undefined;
  /** How often it was handed to a consumer: identifies the latest time. */
  serial: number;
  due: number | undefined;
  retryAt: number | undefined;
  failures: number;
  recovered: number;
  isolated: boolean;
  /** The version that it waits for, and since when; set while it is deferred. */
  deferred: { readonly version: number; readonly since: number } | undefined;
  /** The key that it waits for, while a letter holds it. */
  waitsFor: string | undefined;
  /** Whether it comes before all other returned deliveries, by position. */
  early: boolean;
}

/** A delivery that a consumer was handed. It may be settled or lost by now. */
export interface Hand {
  readonly delivery: Delivery;
  readonly text: string;
  readonly serial: number;
  readonly fence: string;
  /** The number of its current attempt: a held retry raises it. */
  attempt: number;
}

/** The event types that a group is for, or that a consumer handles; undefined for the stream's own type. */
export type Types = readonly string[] | undefined;

export interface Member {
  readonly name: string;
  readonly lease: number;
  readonly version: number;
  readonly deferTimeout: number;
  readonly exclusive: boolean;
  readonly types: Types;
  readonly whenDead: WhenDead;
  expires: number;
  /** False after it left or was given up for dead. It joins again with its next call. */
  enrolled: boolean;
  seenEpoch: number;
}

export interface Letter {
  readonly position: Position;
  readonly text: string | undefined;
  readonly key: string | undefined;
  /** Whether it holds its key. */
  holds: boolean;
}

/**
 * How many bytes the store counts for the entry with this text. `"large"` if the store measures approximately, and any
 * entry takes more than the commands allow.
 */
export type SizeOf = ((text: string) => number) | "large";

/** The model of one stream: plain arrays, slow and obvious. */
export class Model {
  now = 1_700_000_000_000;
  entries: { readonly position: Position; readonly text: string }[] = [];
  last: Position | undefined;
  readonly groups = new Map<string, ModelGroup>();
  readonly #sizeOf: SizeOf;

  constructor(sizeOf: SizeOf) {
    this.#sizeOf = sizeOf;
  }

  /** Undefined if the store measures approximately. */
  get bytes(): number | undefined {
    return this.#sizeOf === "large" ? undefined : this.#bytesFrom(0);
  }

  #bytesFrom(index: number): number {
    const sizeOf = this.#sizeOf;
    if (sizeOf === "large") return this.entries.length > index ? Infinity : 0;
    return this.entries.slice(index).reduce((sum, { text }) => sum + sizeOf(text), 0);
  }

  textOf(position: Position): string | undefined {
    return this.entries.find((entry) => entry.position === position)?.text;
  }

  get end(): Position {
    return this.last === undefined ? "0-0" : after(this.last);
  }

  /** Trims. Returns how many entries are removed, and the groups that `pinnedBy` may name. */
  trim({ maxAge = Infinity, maxLength = Infinity, maxBytes = Infinity, force = false }): {
    removed: number;
    pinnedBy: string[];
  } {
    const tooMany = this.entries.length - maxLength;
    const oldest = maxAge === Infinity ? "0-0" : firstPositionAt(this.now - maxAge);
    const wanted = this.entries.filter(({ position }, index) =>
      index < tooMany || this.#bytesFrom(index) > maxBytes || before(position, oldest)
    );
    const floors = [...this.groups].map(([name, group]) => [name, group.trimFloor()] as const);
    const kept = force ? [] : wanted.filter(({ position }) => floors.some(([, floor]) => !before(position, floor)));
    const lowest = floors.map(([, floor]) => floor).toSorted(comparePositions)[0];
    for (const group of this.groups.values()) {
      const unread = new Set(group.unread);
      const removed = wanted.filter((entry) => !kept.includes(entry)).map(({ position }) => position);
      group.removed.push(...removed.filter((position) => unread.has(position)));
    }
    this.entries = this.entries.filter((entry) => !wanted.includes(entry) || kept.includes(entry));
    return {
      removed: wanted.length - kept.length,
      pinnedBy: kept.length === 0 ? [] : floors.filter(([, floor]) => floor === lowest).map(([name]) => name),
    };
  }
}

export class ModelGroup {
  pending: Delivery[] = [];
  letters: Letter[] = [];
  /** Unread entries that were removed, until a claim reports them. */
  removed: Position[] = [];
  members: Member[] = [];
  epoch = 0;
  skipped = 0;
  expired = 0;
  /** How often letters have ceased to hold a key. */
  freed = 0;
  types: Types;
  whenDead: WhenDead;
  /** The exclusive consumer that joined last, until another consumer joins. */
  alone: Member | undefined;
  #from: Position;
  #model: Model;

  constructor(model: Model, startFrom: "beginning" | "now" | Position, types: Types, whenDead: WhenDead) {
    this.#model = model;
    this.types = types;
    this.whenDead = whenDead;
    this.#from = this.#place(startFrom);
  }

  #place(at: "beginning" | "now" | Position): Position {
    return at === "beginning" ? "0-0" : at === "now" ? this.#model.end : at;
  }

  get unread(): Position[] {
    return this.#model.entries.map(({ position }) => position).filter((position) => !before(position, this.#from));
  }

  isGone({ copy, position }: Delivery): boolean {
    return copy === undefined && this.#model.textOf(position) === undefined;
  }

  get floor(): Position | undefined {
    return [...this.pending.map(({ position }) => position), ...this.unread].toSorted(comparePositions)[0];
  }

  trimFloor(): Position {
    const held = this.pending.filter((delivery) => delivery.copy === undefined && !this.isGone(delivery));
    const places = [...held.map(({ position }) => position), ...this.unread, this.#model.end];
    return places.toSorted(comparePositions)[0]!;
  }

  isAlive(member: Member): boolean {
    return member.enrolled && member.expires > this.#model.now;
  }

  nameIsTaken(name: string, self?: Member): boolean {
    return this.members.some((member) => member !== self && member.name === name && this.isAlive(member));
  }

  isFor(types: Types): boolean {
    return this.types?.join() === types?.join();
  }

  agreesWith({ types, whenDead }: Member): boolean {
    return this.isFor(types) && whenDead === this.whenDead;
  }

  /** Why a consumer may not join, if it may not. */
  refusal(
    { name, types, whenDead, exclusive }: Pick<Member, "name" | "types" | "whenDead" | "exclusive">,
    self?: Member,
  ): StoreErrorKind | undefined {
    if (!this.isFor(types)) return "types-differ";
    if (whenDead !== this.whenDead) return "policy-differs";
    if (this.nameIsTaken(name, self)) return "name-taken";
    const inTheWay = exclusive ? this.members : this.members.filter((member) => member === this.alone);
    const occupied = inTheWay.some((member) => member !== self && this.isAlive(member));
    return occupied || exclusive && self !== undefined && this.alone !== self ? "occupied" : undefined;
  }

  join(options: Omit<Member, "expires" | "enrolled" | "seenEpoch">): Member {
    const expires = this.#model.now + options.lease;
    const member: Member = { ...options, expires, enrolled: true, seenEpoch: this.epoch };
    this.members.push(member);
    this.alone = member.exclusive ? member : undefined;
    if (member.exclusive) this.#recoverDead(member);
    return member;
  }

  /** Renews the lease of a member. Returns why it cannot: another live member has its name, or the types were altered. */
  touch(member: Member): StoreErrorKind | undefined {
    const refusal = this.refusal(member, member);
    if (refusal !== undefined && !this.isAlive(member)) return refusal;
    if (!this.isAlive(member) && !member.exclusive) this.alone = undefined;
    member.enrolled = true;
    member.expires = this.#model.now + member.lease;
    return undefined;
  }

  heldBy(member: Member): Delivery[] {
    return this.pending.filter(({ owner }) => owner === member);
  }

  holds(member: Member, { delivery, serial }: Hand): boolean {
    return this.agreesWith(member) && this.pending.includes(delivery) && delivery.owner === member &&
      delivery.serial === serial;
  }

  /**
   * What a member may claim now: returned deliveries, or new entries if there are none. `gone` holds the returned
   * deliveries whose entries were removed. With `expired: false`, without the deferred ones that are expired for it.
   */
  available(
    taker: Member,
    { expired = true }: { expired?: boolean } = {},
  ): { returned: Delivery[]; gone: Delivery[]; fresh: Position[] } {
    this.#recoverDead(taker);
    const { now } = this.#model;
    const due = this.pending.filter((delivery) => {
      const { due = Infinity, deferred } = delivery;
      return due <= now || taker.exclusive && due < Infinity || this.isKnown(delivery, taker) ||
        expired && deferred !== undefined && now - deferred.since >= taker.deferTimeout;
    });
    const returned = due.filter((delivery) => !this.isGone(delivery));
    const gone = due.filter((delivery) => this.isGone(delivery));
    return { returned, gone, fresh: returned.length > 0 ? [] : this.unread };
  }

  #recoverDead(taker: Member): void {
    for (const member of this.members) {
      if (member === taker || !member.enrolled || this.isAlive(member)) continue;
      member.enrolled = false;
      for (const delivery of this.heldBy(member)) {
        delivery.recovered++;
        if (delivery.isolated) delivery.failures++;
        this.#park(delivery);
      }
    }
  }

  /** In how many milliseconds the retry of a delivery is due; undefined when it may start now. */
  dueIn({ retryAt }: Delivery): number | undefined {
    return retryAt !== undefined && retryAt > this.#model.now ? retryAt - this.#model.now : undefined;
  }

  isKnown({ deferred }: Delivery, { version }: Member): boolean {
    return deferred !== undefined && deferred.version <= version;
  }

  #park(delivery: Delivery): void {
    delivery.owner = undefined;
    delivery.isolated = false;
    delivery.early = false;
    delivery.due = Math.max(this.#model.now, delivery.retryAt ?? 0);
  }

  read(position: Position): Delivery {
    this.#from = after(position);
    return this.#add(position, undefined);
  }

  #add(position: Position, copy: string | undefined): Delivery {
    const delivery: Delivery = {
      position,
      copy,
      owner: undefined,
      serial: 0,
      due: this.#model.now,
      retryAt: undefined,
      failures: 0,
      recovered: 0,
      isolated: false,
      deferred: undefined,
      waitsFor: undefined,
      early: false,
    };
    this.pending.push(delivery);
    return delivery;
  }

  hand(delivery: Delivery, member: Member, fence: string, text: string): Hand {
    delivery.owner = member;
    if (this.dueIn(delivery) === undefined) delivery.retryAt = undefined;
    delivery.due = delivery.deferred = undefined;
    delivery.early = false;
    return { delivery, text, serial: ++delivery.serial, fence, attempt: delivery.failures + 1 };
  }

  skip(delivery: Delivery): void {
    this.skipped++;
    this.drop(delivery);
  }

  expire(delivery: Delivery): void {
    this.expired++;
    this.drop(delivery);
  }

  drop(delivery: Delivery): void {
    this.pending = this.pending.filter((other) => other !== delivery);
  }

  retry(delivery: Delivery, attempt: number, delay: number, hold: boolean): void {
    delivery.failures = Math.max(delivery.failures, attempt);
    delivery.recovered = 0;
    delivery.isolated = false;
    delivery.retryAt = this.#model.now + delay;
    if (!hold) this.#park(delivery);
  }

  release(delivery: Delivery, delay: number): void {
    delivery.retryAt = delay === 0 ? undefined : this.#model.now + delay;
    this.#park(delivery);
  }

  defer(delivery: Delivery, version: number): void {
    if (this.isGone(delivery)) return this.release(delivery, 0);
    delivery.owner = delivery.retryAt = undefined;
    delivery.isolated = false;
    delivery.deferred = { version, since: this.#model.now };
  }

  /** How many deliveries are deferred, by version. */
  get deferred(): { version: number; pending: number }[] {
    const versions = this.pending.flatMap(({ deferred }) => deferred === undefined ? [] : [deferred.version]);
    return [...new Set(versions)].toSorted((a, b) => a - b).map((version) => ({
      version,
      pending: versions.filter((other) => other === version).length,
    }));
  }

  /** Whether a letter of a lower position holds the key. */
  isBehind(position: Position, key: string): boolean {
    return this.letters.some((letter) => letter.holds && letter.key === key && before(letter.position, position));
  }

  wait(delivery: Delivery, key: string): void {
    delivery.retryAt = undefined;
    if (!this.isBehind(delivery.position, key)) return this.#returnEarly(delivery);
    delivery.owner = undefined;
    delivery.isolated = false;
    delivery.waitsFor = key;
  }

  #returnEarly(delivery: Delivery): void {
    this.#park(delivery);
    delivery.waitsFor = undefined;
    delivery.early = this.whenDead === "hold-key";
  }

  #lift(which: (letter: Letter) => boolean): void {
    const lifted = this.letters.filter((letter) => letter.holds && which(letter));
    for (const letter of lifted) letter.holds = false;
    if (lifted.length > 0) this.freed++;
  }

  /** Letters hold their keys no longer: returns the deliveries that waited behind them and behind no other letter. */
  #free(): void {
    for (const delivery of this.pending) {
      if (delivery.waitsFor !== undefined && !this.isBehind(delivery.position, delivery.waitsFor)) {
        this.#returnEarly(delivery);
      }
    }
  }

  get held(): HeldState {
    const holding = this.letters.filter(({ holds }) => holds);
    return {
      keys: new Set(holding.map(({ key }) => key)).size,
      waiting: this.pending.filter(({ waitsFor }) => waitsFor !== undefined).length,
      from: holding.map(({ position }) => position).toSorted(comparePositions)[0],
    };
  }

  alter(types: Types, whenDead: WhenDead = this.whenDead): void {
    this.types = types;
    if (whenDead === "continue") {
      this.#lift(() => true);
      this.#free();
    }
    this.whenDead = whenDead;
  }

  bury(delivery: Delivery, key: string | undefined): void {
    this.drop(delivery);
    const { position, copy } = delivery;
    const holds = key !== undefined && this.whenDead === "hold-key";
    this.letters.push({ position, text: copy ?? this.#model.textOf(position), key, holds });
  }

  leave(member: Member): void {
    // Its deliveries are recovered as those of a dead consumer.
    if (!this.agreesWith(member)) return;
    for (const delivery of this.heldBy(member)) this.#park(delivery);
    member.enrolled = false;
  }

  rewind(to: "beginning" | "now" | Position): { dropped: number; first: Position | undefined } {
    this.epoch++;
    this.#from = this.#place(to);
    const kept = this.pending.filter(({ position }) => before(position, this.#from));
    const dropped = this.pending.length - kept.length;
    this.pending = kept;
    this.#lift((letter) => !before(letter.position, this.#from));
    return { dropped, first: this.unread[0] };
  }

  redrive(letter: Letter): void {
    this.discard(letter);
    const { position, text } = letter;
    if (this.pending.some((delivery) => delivery.position === position) || this.unread.includes(position)) return;
    const delivery = this.#add(position, this.#model.textOf(position) === undefined ? text ?? "" : undefined);
    delivery.early = this.whenDead === "hold-key";
  }

  discard(letter: Letter): void {
    this.#lift((other) => other === letter);
    this.letters = this.letters.filter((other) => other !== letter);
    this.#free();
  }
}

function before(a: Position, b: Position): boolean {
  return comparePositions(a, b) < 0;
}

function after(position: Position): Position {
  const [ms, seq] = position.split("-");
  return `${Number(ms)}-${Number(seq) + 1}`;
}
