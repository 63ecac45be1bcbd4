import type { Claim, Position } from "../../store/mod.ts";
import type { Reply } from "../connection/client.ts";
import type { Route } from "../connection/_topology.ts";
import { parseEntries } from "../connection/_replies.ts";
import type { GroupKeys } from "../_keys.ts";
import { CONFIRM_READ } from "../scripts/consuming/confirm_read.ts";
import type { Recovery } from "./_recovery.ts";
import { claimOf, type Source } from "./_source.ts";
import { StreamWatch, type WatchContext } from "./_stream_watch.ts";

/** The surroundings of an exclusive source. */
export interface ExclusiveContext extends WatchContext {
  readonly link: Route;
  readonly keys: GroupKeys;
  readonly group: string;
  readonly consumer: string;
}

/**
 * The source of a consumer that has its group to itself. New entries never come before deliveries that returned to the group.
 *
 * Looks take both in order, but a script costs the server twice as much for each new entry as XREADGROUP does. So after a look
 * that has found nothing returned, the consumer reads by that command. In the same round trip it asks whether it may claim the
 * entries. If not, it gives them back to the group, and looks: then they come in their place. It never reads while it waits.
 */
export class ExclusiveSource implements Source {
  readonly kept: readonly Position[] = [];
  #context: ExclusiveContext;
  #recovery: Recovery;
  #watch: StreamWatch;
  /** Whether reading may find entries. */
  #mayHaveMore = true;
  #closed = false;

  constructor(recovery: Recovery, context: ExclusiveContext) {
    this.#context = context;
    this.#recovery = recovery;
    const arrived = () => {
      this.#mayHaveMore = true;
      context.arrived();
    };
    this.#watch = new StreamWatch({ ...context, arrived });
  }

  get last(): Position | undefined {
    const { readTo } = this.#recovery;
    return readTo === "0-0" ? undefined : readTo;
  }

  async next(limit: number): Promise<Claim | undefined> {
    const recovery = this.#recovery;
    // Once the consumer has left, the script would enrol it again.
    while (!this.#closed) {
      if (recovery.due || this.#mayHaveMore && recovery.mustLook) {
        const claim = await recovery.look(limit);
        this.#mayHaveMore = claim !== undefined;
        if (claim !== undefined) return claim;
      } else if (this.#mayHaveMore) {
        const claim = await this.#read(limit);
        if (claim !== undefined) return claim;
        // The read was refused, or something has returned.
        if (recovery.due) continue;
      }
      this.#watch.wait(recovery.readTo);
      return undefined;
    }
    return undefined;
  }

  /** Claims new entries; undefined if there are none, or if they may not be claimed before a look. */
  async #read(limit: number): Promise<Claim | undefined> {
    const { link, keys: { stream, meta, redrive }, group, consumer } = this.#context;
    const recovery = this.#recovery;
    const { knowledge } = recovery;
    const command = ["XREADGROUP", "GROUP", group, consumer, "COUNT", `${limit}`, "STREAMS", stream, ">"];
    try {
      const [reply, confirmed] = await Promise.all([
        link.send(command),
        CONFIRM_READ.run(link, [stream, meta, redrive], [group, consumer, ...knowledge]),
      ]);
      const records = Array.isArray(reply) ? parseEntries((reply[0] as readonly Reply[])[1]!) : [];
      const [first, same, control] = confirmed as readonly [Position | "", number, number | string];
      recovery.noteControl(Number(control));
      // Only if the first entry is there, the script ran after the read: a moved slot may have delayed the read.
      const confirms = same === 1 && first === (records[0]?.position ?? "");
      // Another call may have learned meanwhile that deliveries were taken from this consumer.
      const now = recovery.knowledge;
      if (!confirms || knowledge.some((value, nth) => value !== now[nth])) {
        recovery.refuseRead(records.map(({ position }) => position));
        return undefined;
      }
      this.#mayHaveMore = records.length === limit;
      return records.length === 0 ? undefined : claimOf(recovery.claimedRead(records));
    } catch (error) {
      recovery.expectOrphans();
      throw error;
    }
  }

  async rest(): Promise<readonly Claim[]> {
    await this.#recovery.check();
    return [];
  }

  spill(): void {}

  clear(): void {
    this.#recovery.forgetReads();
  }

  announceAgain(): void {
    this.#watch.announceAgain();
  }

  pause(): void {
    this.#watch.pause();
  }

  close(): Promise<void> {
    this.#closed = true;
    this.#watch.close();
    return Promise.resolve();
  }
}
