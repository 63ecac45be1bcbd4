import {
  type AppendOptions,
  type EventStore,
  type Fields,
  type GroupMember,
  type MemberOptions,
  type Position,
  type ReadRange,
  type StoredRecord,
  StoreError,
  type StreamAdmin,
} from "../store/mod.ts";

/** One call of `append` on its way, for a test to spoil. */
export class AppendCall {
  readonly records: readonly Fields[];
  /** Thrown instead of asking the store. */
  refusal: unknown;
  /** Thrown after the store has answered. */
  loss: unknown;
  /** Waited for before the store is asked, and before its answer is given. */
  before: Promise<unknown> | undefined;
  after: Promise<unknown> | undefined;

  constructor(records: readonly Fields[]) {
    this.records = records;
  }

  /** The store is not asked at all. */
  refuse(error: unknown): void {
    this.refusal = error;
  }

  /** The store does it, and its answer gets lost. */
  lose(): void {
    this.loss = new StoreError("uncertain", "the connection was lost before the answer");
  }

  /** The call gets lost on its way, and nobody can tell. */
  miss(): void {
    this.refusal = new StoreError("uncertain", "the connection was lost before the answer");
  }
}

/** A store that is spoilt on the way to it: calls and answers get lost or late, but never out of order. */
export class FaultyStore implements EventStore {
  onAppend: ((call: AppendCall, stream: string) => void) | undefined;
  onMember: ((member: GroupMember) => GroupMember) | undefined;
  /** Thrown by every read while it is set. */
  readFailure: unknown;
  #store: EventStore;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(store: EventStore) {
    this.#store = store;
  }

  async append(stream: string, records: readonly Fields[], options?: AppendOptions): Promise<readonly Position[]> {
    const call = new AppendCall(records);
    this.onAppend?.(call, stream);
    const turn = this.#turn.then(() => call.before);
    this.#turn = turn;
    await turn;
    if (call.refusal !== undefined) throw call.refusal;
    const positions = await this.#store.append(stream, records, options);
    await call.after;
    if (call.loss !== undefined) throw call.loss;
    return positions;
  }

  async *read(stream: string, range?: ReadRange): AsyncGenerator<readonly StoredRecord[]> {
    if (this.readFailure !== undefined) throw this.readFailure;
    for await (const page of this.#store.read(stream, range)) {
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

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#store[Symbol.asyncDispose]();
  }
}
