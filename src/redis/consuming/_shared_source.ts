import type { Claim, Position, StoredRecord } from "../../store/mod.ts";
import { type Batch, type BufferContext, ReceiveBuffer } from "./_receive_buffer.ts";
import type { Recovery } from "./_recovery.ts";
import { claimOf, type Source } from "./_source.ts";

/** The source of a consumer that may share its group with other ones. It reads ahead, also while it waits. */
export class SharedSource implements Source {
  #recovery: Recovery;
  #buffer: ReceiveBuffer;
  #closed = false;

  constructor(recovery: Recovery, context: Omit<BufferContext, "generation" | "failed">) {
    this.#recovery = recovery;
    this.#buffer = new ReceiveBuffer({
      ...context,
      generation: () => recovery.generation,
      failed: () => recovery.expectOrphans(),
    });
  }

  get kept(): readonly Position[] {
    return this.#buffer.kept;
  }

  get last(): Position | undefined {
    return this.#buffer.last;
  }

  next(limit: number, newFirst: boolean): Promise<Claim | undefined> {
    return newFirst ? this.#readNew(limit) : this.#look(limit);
  }

  /** Claims entries that the group has not read; undefined if there are none. */
  async #readNew(limit: number): Promise<Claim | undefined> {
    const kept = await this.#claimRead(this.#buffer.take(limit));
    if (kept !== undefined) return kept;
    const [batch, same] = await Promise.all([this.#buffer.readAtOnce(limit), this.#recovery.check()]);
    if (same) return await this.#claimRead(batch);
    // First a look has to learn the new epoch.
    this.#buffer.keep(batch);
    return undefined;
  }

  /** Claims the records of a read that still belong to this consumer; undefined if there are none. */
  async #claimRead(batch: Batch | undefined): Promise<Claim | undefined> {
    if (batch === undefined || batch.records.length === 0) return undefined;
    if (batch.generation === this.#recovery.generation) return claimOf(this.#recovery.claimedNew(batch.records));
    // Deliveries were taken from this consumer since the read, perhaps these, by another consumer or by a rewind.
    return await this.#recovery.adopt(batch.records.map(({ position }) => position));
  }

  /** Tries each source in turn; undefined if all are empty. Then a wait is under way that ends the recovery's wait. */
  async #look(limit: number): Promise<Claim | undefined> {
    // Once the consumer has left, the script would enrol it again.
    while (!this.#closed) {
      const due = this.#recovery.due || this.#buffer.mayHaveMore && this.#recovery.stale;
      const returned = due ? await this.#claimReturned(limit) : undefined;
      if (returned !== undefined) return returned;
      if (this.#buffer.unconfirmed) {
        // A rewind may have come before the read of these records, which then belong to its epoch.
        this.#buffer.confirm();
        await this.#recovery.check();
        if (this.#recovery.due) continue;
      }
      const kept = await this.#claimRead(this.#buffer.take(limit));
      if (kept !== undefined) return kept;
      if (this.#buffer.mayHaveMore) {
        // In a backlog one round trip has to do: returned deliveries wait for one more batch.
        if (!this.#buffer.flowing) await this.#recovery.check();
        const claim = this.#recovery.due ? undefined : await this.#readNew(limit);
        if (claim !== undefined) return claim;
      }
      if (this.#buffer.waiting) return undefined;
      await this.#recovery.check();
      if (this.#recovery.due || this.#buffer.unconfirmed) continue;
      this.#buffer.wait(limit);
      return undefined;
    }
    return undefined;
  }

  /** Claims returned deliveries; undefined if there are none. A claim that only reports something also gets new entries. */
  async #claimReturned(limit: number): Promise<Claim | undefined> {
    const claim = await this.#recovery.look(limit);
    // Missing deliveries count towards the limit, so more may have returned. New entries come after all of them.
    if (claim === undefined || claim.records.length > 0 || claim.missing.length > 0) return claim;
    const reading = async () =>
      await this.#claimRead(this.#buffer.take(limit)) ?? await this.#claimRead(await this.#buffer.readAtOnce(limit));
    // A failure must not hide the rewind or the gap from the caller. The next look meets the failure again.
    const read = await reading().catch(() => undefined);
    return { ...claim, records: read?.records ?? [], missing: read?.missing ?? [] };
  }

  async rest(): Promise<readonly Claim[]> {
    await this.#buffer.ended();
    await this.#recovery.check();
    const claims: Claim[] = [];
    for (let batch; (batch = this.#buffer.take(Infinity)) !== undefined;) {
      const claim = await this.#claimRead(batch);
      if (claim !== undefined) claims.push(claim);
    }
    return claims;
  }

  spill(records: readonly StoredRecord[]): void {
    this.#buffer.spill(records);
  }

  clear(): void {
    this.#buffer.clear();
  }

  announceAgain(): void {
    this.#buffer.announceAgain();
  }

  pause(): void {
    this.#buffer.pause();
  }

  close(): Promise<void> {
    this.#closed = true;
    return this.#buffer.close();
  }
}
