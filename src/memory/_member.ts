import type {
  Claim,
  ClaimOptions,
  DeliveryRef,
  GroupMember,
  HeldDeliveries,
  KeyedDelivery,
  MemberOptions,
  Outcome,
  Position,
  SharedText,
} from "../store/mod.ts";
import { haveSameTerms } from "../store/_groups.ts";
import { type Reach, reachOf } from "../store/_reach.ts";
import type { MemoryGroup } from "./_group.ts";
import type { MemoryStream } from "./_stream.ts";

/** One consumer of a group in memory. */
export class MemoryMember implements GroupMember {
  readonly consumer: string;
  #stream: MemoryStream;
  #group: MemoryGroup;
  #options: MemberOptions;
  #reach: Reach;
  #exclusive: boolean;
  #epoch: number;
  /** The version of the group's control that this member knows. */
  #controlVersion = 0;
  #left = new AbortController();

  constructor(stream: MemoryStream, group: MemoryGroup, options: MemberOptions) {
    this.consumer = group.join(options);
    this.#stream = stream;
    this.#group = group;
    this.#options = options;
    this.#reach = reachOf(options);
    this.#exclusive = options.exclusive === true;
    this.#epoch = group.epoch;
  }

  async claim({ limit, signal, newFirst = false }: ClaimOptions): Promise<Claim> {
    const ended = AbortSignal.any([signal, this.#left.signal]);
    while (!ended.aborted) {
      const consumer = this.#group.touch(this.consumer, this.#options);
      const control = this.#group.control.version === this.#controlVersion ? undefined : this.#learn();
      if (control !== undefined || limit === 0) {
        return { records: [], missing: [], disturbed: false, ...(control && { control }) };
      }
      const found = this.#group.claim(consumer, this.#reach, { limit, newFirst, exclusive: this.#exclusive });
      const disturbed = this.#group.epoch !== this.#epoch;
      this.#epoch = this.#group.epoch;
      if (found.records.length > 0 || found.missing.length > 0 || found.removed !== undefined || disturbed) {
        return { ...found, disturbed };
      }
      const next = this.#group.nextChange(consumer, this.#reach);
      await this.#stream.wakeUp.wait(ended, next - this.#stream.now());
    }
    return { records: [], missing: [], disturbed: false };
  }

  // deno-lint-ignore require-await -- async turns thrown errors into rejections
  async renew(
    held: readonly DeliveryRef[],
    { stalled }: { readonly stalled?: boolean } = {},
  ): Promise<readonly Position[]> {
    this.#group.touch(this.consumer, this.#options);
    if (stalled !== undefined) this.#group.setStalled(this.consumer, stalled);
    return this.#group.lost(this.consumer, held);
  }

  // deno-lint-ignore require-await -- async turns thrown errors into rejections
  async settle(outcomes: readonly Outcome[]): Promise<readonly Position[]> {
    if (!this.#hasTerms) return outcomes.map(({ position }) => position);
    return this.#group.settle(this.consumer, outcomes);
  }

  // deno-lint-ignore require-await -- async turns thrown errors into rejections
  async held(deliveries: readonly KeyedDelivery[]): Promise<HeldDeliveries> {
    return this.#group.held(deliveries);
  }

  control(): Promise<SharedText> {
    return Promise.resolve(this.#learn());
  }

  #learn(): SharedText {
    const { control, deleted } = this.#group;
    this.#controlVersion = control.version;
    const known = deleted ? { text: undefined, version: 0 } : control;
    return { ...known, now: this.#stream.now() };
  }

  // deno-lint-ignore require-await -- async turns thrown errors into rejections
  async keep(delivery: DeliveryRef, name: string, text: string): Promise<boolean> {
    return this.#hasTerms && this.#group.keep(this.consumer, delivery, name, text);
  }

  // deno-lint-ignore require-await -- async turns thrown errors into rejections
  async kept(delivery: DeliveryRef): Promise<Readonly<Record<string, string>>> {
    return this.#group.kept(this.consumer, delivery);
  }

  // deno-lint-ignore require-await -- async turns thrown errors into rejections
  async leave(): Promise<boolean> {
    this.#left.abort();
    return !this.#hasTerms || this.#group.leave(this.consumer);
  }

  /** Whether this consumer still agrees with its group. */
  get #hasTerms(): boolean {
    return haveSameTerms(this.#group.terms, this.#options);
  }
}
