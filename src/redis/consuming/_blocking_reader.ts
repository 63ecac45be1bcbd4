import type { StoredRecord } from "../../store/mod.ts";
import type { Reply } from "../connection/client.ts";
import { isUnblocked } from "../connection/_reply_error.ts";
import { parseEntries } from "../connection/_replies.ts";
import type { Route } from "../connection/_topology.ts";

// How long one read blocks, and how long its reply may take before the server counts as dead, in milliseconds.
const BLOCK = 4_000;
const BLOCK_TIMEOUT = 9_000;
// How long `ended` waits for an interrupted read, in milliseconds.
const END_TIMEOUT = 1_000;

/** One stream's wait for new entries. */
interface Wait {
  readonly stream: string;
  /** Where to read: after an id, or `>` for entries that the group has not read. */
  readonly after: string;
  readonly limit: number;
  /** The first read with this stream has been sent: from now on other consumers can end it. */
  readonly blocked: () => void;
  /** Another consumer ended the read, because deliveries returned to the group. */
  readonly woken: () => void;
  readonly resolve: (records: readonly StoredRecord[]) => void;
  readonly reject: (error: unknown) => void;
  /** Whether a read with this stream was sent. */
  sent: boolean;
  /** Whether the wait has ended. */
  done: boolean;
}

/** A read in flight. */
interface Read {
  readonly streams: readonly string[];
  /** Resolves when the read has ended. */
  readonly ended: Promise<void>;
}

/** Waits for new entries of several streams by one blocking read on a connection of its own. */
export class BlockingReader {
  #link: Route;
  #command: readonly string[];
  #unblock: (connection: string) => Promise<unknown>;
  #spill: (stream: string, records: readonly StoredRecord[]) => void;
  #waits = new Set<Wait>();
  #reading = false;
  #blocked = false;
  #reads = 0;
  #inFlight: Read | undefined;
  #interrupted = false;
  #connection: string | undefined;
  #closed = false;

  /**
   * @param link The connection of the reads; closed with the reader.
   * @param command The beginning of the command, up to COUNT: `XREAD`, or `XREADGROUP GROUP group consumer`.
   * @param unblock Ends the blocked read of a connection, given its id, as if the time were up. Resolves with 0 if it was
   * not blocked.
   * @param spill Takes records that were read for a wait that has ended meanwhile.
   */
  constructor(
    link: Route,
    command: readonly string[],
    unblock: (connection: string) => Promise<unknown>,
    spill: (stream: string, records: readonly StoredRecord[]) => void,
  ) {
    this.#link = link;
    this.#command = command;
    this.#unblock = unblock;
    this.#spill = spill;
  }

  /** Resolves with at most `limit` new entries of the stream, or with none when `signal` aborts or the wait is woken. */
  wait(
    { stream, after, limit, blocked, woken }: Pick<Wait, "stream" | "after" | "limit" | "blocked" | "woken">,
    signal: AbortSignal,
  ): Promise<readonly StoredRecord[]> {
    if (signal.aborted || this.#closed) return Promise.resolve([]);
    return new Promise((resolve, reject) => {
      const end = () => {
        signal.removeEventListener("abort", abort);
        this.#waits.delete(wait);
        wait.done = true;
      };
      const abort = () => {
        end();
        resolve([]);
        // The read begins again without this stream, so that it takes no more entries of it.
        this.#interrupt();
      };
      const wait: Wait = {
        stream,
        after,
        limit,
        blocked,
        woken,
        sent: false,
        done: false,
        resolve: (records) => (end(), resolve(records)),
        reject: (error) => (end(), reject(error)),
      };
      signal.addEventListener("abort", abort);
      this.#waits.add(wait);
      // A read that is blocked without this stream begins again with it.
      this.#interrupt();
      void this.#read();
    });
  }

  #interrupt(): void {
    if (!this.#blocked || this.#interrupted || this.#connection === undefined) return;
    this.#interrupted = true;
    void this.#endRead(this.#connection);
  }

  async #endRead(connection: string): Promise<void> {
    const read = this.#reads;
    try {
      // UNBLOCK uses another connection, so it may reach the server before the read does.
      while (this.#blocked && this.#reads === read && await this.#unblock(connection) === 0) {
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
    } catch {
      this.#link.reset();
    }
  }

  async #read(): Promise<void> {
    if (this.#reading) return;
    this.#reading = true;
    try {
      while (this.#waits.size > 0 && !this.#closed) {
        // A few microtasks later, the waits that just ended have begun again: one read serves all of them.
        for (let turn = 0; turn < 8; turn++) await undefined;
        await this.#readOnce([...this.#waits]);
      }
    } finally {
      this.#reading = false;
    }
  }

  /** Connects, and resolves with the id of the connection. */
  async connect(): Promise<string> {
    return this.#connection ??= String(await this.#link.send(["CLIENT", "ID"]));
  }

  /**
   * Resolves once no read asks for the stream any more, if its wait has ended. After a second the connection is closed:
   * the server answers no other command either.
   */
  async ended(stream: string): Promise<void> {
    const read = this.#inFlight;
    if (read === undefined || !read.streams.includes(stream)) return;
    const timer = setTimeout(() => this.#link.reset(), END_TIMEOUT);
    await read.ended;
    clearTimeout(timer);
  }

  async #readOnce(all: readonly Wait[]): Promise<void> {
    let waits = all;
    const { promise: ended, resolve: end } = Promise.withResolvers<void>();
    try {
      await this.connect();
      // Nothing may be read for a wait that ended meanwhile: its consumer may have left the group.
      waits = all.filter((wait) => !wait.done);
      if (waits.length === 0) return;
      const limit = Math.min(...waits.map((wait) => wait.limit));
      const streams = waits.map((wait) => wait.stream);
      const ids = waits.map((wait) => wait.after);
      const options = ["COUNT", String(limit), "BLOCK", String(BLOCK), "STREAMS"];
      this.#blocked = true;
      this.#reads++;
      this.#inFlight = { streams, ended };
      const reading = this.#link.send([...this.#command, ...options, ...streams, ...ids], BLOCK_TIMEOUT);
      for (const wait of waits) {
        if (!wait.sent) wait.blocked();
        wait.sent = true;
      }
      const reply = await reading;
      if (reply !== null) this.#deliver(reply, waits);
    } catch (error) {
      if (isUnblocked(error)) return this.#wake(waits);
      this.#connection = undefined;
      for (const wait of waits) if (!wait.done) wait.reject(error);
    } finally {
      this.#blocked = false;
      this.#interrupted = false;
      this.#inFlight = undefined;
      end();
    }
  }

  // Ends all waits, so that nothing new is read before the consumers have looked for returned deliveries.
  #wake(waits: readonly Wait[]): void {
    for (const wait of waits) {
      if (wait.done) continue;
      wait.woken();
      wait.resolve([]);
    }
  }

  #deliver(reply: Reply, waits: readonly Wait[]): void {
    if (!Array.isArray(reply)) return;
    for (const [stream, entries] of reply as readonly (readonly [string, Reply])[]) {
      const records = parseEntries(entries);
      const wait = waits.find((candidate) => candidate.stream === stream && !candidate.done);
      if (wait !== undefined) wait.resolve(records);
      else this.#spill(stream, records);
    }
  }

  /** Ends all waits at once, and closes the connection. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const wait of this.#waits) wait.resolve([]);
    await this.#link.close();
  }
}
