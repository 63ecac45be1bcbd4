import type {
  AppendOptions,
  ClaimOptions,
  EventStore,
  Fields,
  GroupMember,
  Limiter,
  MemberOptions,
  Position,
  ReadRange,
  Revised,
  RevisedOptions,
  RevisedRecord,
  SharedState,
  StoredRecord,
  StreamAdmin,
  StreamSchedule,
  SubjectRange,
} from "../store/mod.ts";

/**
 * A store whose process can be frozen: from then on no call reaches the store, and no reply reaches the process, as if it
 * was killed. After a thaw, calls and replies go on.
 */
export class FrozenStore implements EventStore {
  #store: EventStore;
  #thawed: Promise<void> = Promise.resolve();
  #thaw = () => {};
  #frozen = new AbortController();

  constructor(store: EventStore) {
    this.#store = store;
  }

  freeze(): void {
    this.#thawed = new Promise((resolve) => this.#thaw = resolve);
    this.#frozen.abort();
    this.#frozen = new AbortController();
  }

  thaw(): void {
    this.#thaw();
  }

  async #pass<T>(call: () => Promise<T>): Promise<T> {
    await this.#thawed;
    try {
      return await call();
    } finally {
      await this.#thawed;
    }
  }

  append(stream: string, records: readonly Fields[], options?: AppendOptions): Promise<readonly Position[]> {
    return this.#pass(() => this.#store.append(stream, records, options));
  }

  appendRevised(
    stream: string,
    records: readonly RevisedRecord[],
    options?: RevisedOptions,
  ): Promise<readonly Revised[]> {
    return this.#pass(() => this.#store.appendRevised(stream, records, options));
  }

  revision(stream: string, subject: string): Promise<number> {
    return this.#pass(() => this.#store.revision(stream, subject));
  }

  read(stream: string, range?: ReadRange): AsyncGenerator<readonly StoredRecord[]> {
    return this.#pages(this.#store.read(stream, range));
  }

  readSubject(stream: string, subject: string, range?: SubjectRange): AsyncGenerator<readonly StoredRecord[]> {
    return this.#pages(this.#store.readSubject(stream, subject, range));
  }

  async *#pages(pages: AsyncIterable<readonly StoredRecord[]>): AsyncGenerator<readonly StoredRecord[]> {
    for await (const page of pages) {
      await this.#thawed;
      yield page;
    }
  }

  async member(stream: string, group: string, options: MemberOptions): Promise<GroupMember> {
    const member = await this.#pass(() => this.#store.member(stream, group, options));
    return this.#passing(member, {
      consumer: member.consumer,
      // A claim that waits may ask the store again and again: it ends with the freeze.
      claim: (claim: ClaimOptions) =>
        this.#pass(() => member.claim({ ...claim, signal: AbortSignal.any([claim.signal, this.#frozen.signal]) })),
    });
  }

  admin(stream: string): StreamAdmin {
    return this.#passing(this.#store.admin(stream));
  }

  state(stream: string, name: string): SharedState {
    return this.#passing(this.#store.state(stream, name));
  }

  schedule(stream: string, layout?: number): StreamSchedule {
    return this.#passing(this.#store.schedule(stream, layout));
  }

  limiter(stream: string, name: string): Limiter {
    return this.#passing(this.#store.limiter(stream, name));
  }

  /** The same object, whose methods wait. */
  #passing<T extends object>(inner: T, values: Partial<T> = {}): T {
    return new Proxy(inner, {
      get: (target, name) => {
        if (name in values) return values[name as keyof T];
        const method = Reflect.get(target, name) as ((...args: unknown[]) => Promise<unknown>) | undefined;
        // A promise asks for `then`.
        if (method === undefined) return undefined;
        return (...args: unknown[]) => this.#pass(() => method.apply(target, args));
      },
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.thaw();
    await this.#store[Symbol.asyncDispose]();
  }
}
