import {
  type AppendOptions,
  type EventStore,
  type Fields,
  type GroupMember,
  type Limiter,
  type MemberOptions,
  type Position,
  type ReadRange,
  type Revised,
  type RevisedOptions,
  type RevisedRecord,
  type SharedState,
  type StoredRecord,
  StoreError,
  type StreamAdmin,
  type StreamSchedule,
  type SubjectRange,
} from "../store/mod.ts";

/** One call of `append` or `appendRevised`, for a test to make fail. */
export class AppendCall {
  readonly records: readonly Fields[];
  /** Thrown instead of calling the store. */
  refusal: unknown;
  /** Thrown after the store has replied. */
  loss: unknown;
  /** Awaited before the store is called, and before its reply is returned. */
  before: Promise<unknown> | undefined;
  after: Promise<unknown> | undefined;

  constructor(records: readonly Fields[]) {
    this.records = records;
  }

  /** The store is not called at all. */
  refuse(error: unknown): void {
    this.refusal = error;
  }

  /** The store appends, and its reply is lost. */
  lose(): void {
    this.loss = new StoreError("uncertain", "the connection was lost before the answer");
  }

  /** The call is lost before it reaches the store, and the caller cannot know. */
  miss(): void {
    this.refusal = new StoreError("uncertain", "the connection was lost before the answer");
  }
}

/** A store with a faulty connection: calls and replies are lost or late, never out of order. */
export class FaultyStore implements EventStore {
  onAppend: ((call: AppendCall, stream: string) => void) | undefined;
  onMember: ((member: GroupMember) => GroupMember) | undefined;
  /** Awaited before each read. */
  beforeRead: Promise<unknown> | undefined;
  /** Thrown by every read while it is set. */
  readFailure: unknown;
  #store: EventStore;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(store: EventStore) {
    this.#store = store;
  }

  append(stream: string, records: readonly Fields[], options?: AppendOptions): Promise<readonly Position[]> {
    return this.#appendBy(stream, records, () => this.#store.append(stream, records, options));
  }

  appendRevised(
    stream: string,
    records: readonly RevisedRecord[],
    options?: RevisedOptions,
  ): Promise<readonly Revised[]> {
    const fields = records.map(({ fields }) => fields);
    return this.#appendBy(stream, fields, () => this.#store.appendRevised(stream, records, options));
  }

  async #appendBy<A>(stream: string, records: readonly Fields[], append: () => Promise<A>): Promise<A> {
    const call = new AppendCall(records);
    this.onAppend?.(call, stream);
    const turn = this.#turn.then(() => call.before);
    this.#turn = turn;
    await turn;
    if (call.refusal !== undefined) throw call.refusal;
    // A refusal of the store is an answer, which may be lost as well.
    const [answer] = await Promise.allSettled([append()]);
    await call.after;
    if (call.loss !== undefined) throw call.loss;
    if (answer.status === "rejected") throw answer.reason;
    return answer.value;
  }

  async revision(stream: string, subject: string): Promise<number> {
    await this.beforeRead;
    if (this.readFailure !== undefined) throw this.readFailure;
    return await this.#store.revision(stream, subject);
  }

  async *readSubject(
    stream: string,
    subject: string,
    range?: SubjectRange,
  ): AsyncGenerator<readonly StoredRecord[]> {
    yield* this.#faulty(() => this.#store.readSubject(stream, subject, range));
  }

  async *read(stream: string, range?: ReadRange): AsyncGenerator<readonly StoredRecord[]> {
    yield* this.#faulty(() => this.#store.read(stream, range));
  }

  async *#faulty(read: () => AsyncIterable<readonly StoredRecord[]>): AsyncGenerator<readonly StoredRecord[]> {
    await this.beforeRead;
    if (this.readFailure !== undefined) throw this.readFailure;
    for await (const page of read()) {
      yield page;
      if (this.readFailure !== undefined) throw this.readFailure;
    }
  }

  async member(stream: string, group: string, options: MemberOptions): Promise<GroupMember> {
    const member = await this.#store.member(stream, group, options);
    return this.onMember?.(member) ?? member;
  }

  admin(stream: string): StreamAdmin {
    return this.#store.admin(stream);
  }

  state(stream: string, name: string): SharedState {
    return this.#store.state(stream, name);
  }

  /** Adding is an append: it fails as that does. */
  schedule(stream: string, layout?: number): StreamSchedule {
    const schedule = this.#store.schedule(stream, layout);
    return {
      add: (records, options) =>
        this.#appendBy(stream, records.map(({ fields }) => fields), () => schedule.add(records, options)),
      promote: (limit) => schedule.promote(limit),
      state: () => schedule.state(),
      list: (range) => schedule.list(range),
      cancel: (id) => schedule.cancel(id),
      move: (id, when) => schedule.move(id, when),
      take: (limit) => schedule.take(limit),
      taken: (batch) => schedule.taken(batch),
    };
  }

  limiter(stream: string, name: string): Limiter {
    return this.#store.limiter(stream, name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#store[Symbol.asyncDispose]();
  }
}
