import { Process } from "../processes/_processes.ts";
import { DEADLY } from "./_chaos_event.ts";
import type { Chance } from "./_seed.ts";

/** What every role of a process has. */
export interface FleetRole {
  readonly name: "consume" | "publish" | "redrive";
  /** The seed of its random choices. */
  readonly seed: number;
  /** Whether its handlers never fail at random. */
  readonly calm: boolean;
  /** The name of the process: that of its slot, and a number. */
  readonly process: string;
  /** The file that it appends its log to. */
  readonly log: string;
}

// How long after SIGTERM a process may take to end, in milliseconds: it may have been frozen, and the server too.
const PATIENCE = 40_000;

/** A slot for one process. A process that ended is replaced by a new one. */
export interface Slot<R extends FleetRole = FleetRole> {
  readonly name: string;
  readonly role: Omit<R, Exclude<keyof FleetRole, "name">>;
  readonly url: string;
  readonly permissions: readonly string[];
  process: Process | undefined;
  /** How the test ends the process, if it does. */
  end: "killed" | "terminated" | undefined;
  /** How much longer the slot stays empty after its process has ended, in milliseconds. */
  absence: number;
  lives: number;
}

/** The processes. Each one is started again when it ends. */
export class Fleet<R extends FleetRole> implements AsyncDisposable {
  readonly slots: readonly Slot<R>[];
  /** The log files, by the name of the process. */
  readonly logs = new Map<string, string>();
  /** Processes that ended unexpectedly. */
  readonly failures: string[] = [];
  /** How many processes a deadly event ended. */
  deaths = 0;
  #random: Chance;
  #module: URL;
  #logOf: (process: string) => string;
  #calm = false;
  #over = new Set<string>();
  #running = new Set<Promise<void>>();

  /**
   * @param module The main module of the processes.
   * @param logOf The path of a process's log.
   */
  constructor(
    random: Chance,
    module: URL,
    logOf: (process: string) => string,
    slots: readonly Pick<Slot<R>, "name" | "role" | "url" | "permissions">[],
  ) {
    this.#random = random;
    this.#module = module;
    this.#logOf = logOf;
    this.slots = slots.map((slot) => ({ ...slot, process: undefined, end: undefined, absence: 0, lives: 0 }));
    for (const slot of this.slots) {
      const running = this.#keepRunning(slot);
      this.#running.add(running);
    }
  }

  async #keepRunning(slot: Slot<R>): Promise<void> {
    while (!this.#over.has(slot.role.name)) {
      const { code, signal } = await this.#start(slot).ended;
      const { end: how, absence } = slot;
      slot.process = slot.end = undefined;
      slot.absence = 0;
      if (code === DEADLY) this.deaths++;
      else if (how === "killed" ? signal !== "SIGKILL" : how === undefined || code !== 0) {
        this.failures.push(`${slot.name}-${slot.lives} ended with code ${code}, ${how ?? "by itself"}`);
      }
      await new Promise((resolve) => setTimeout(resolve, absence + this.#random.between(0, 499)));
    }
  }

  #start(slot: Slot<R>): Process {
    const process = `${slot.name}-${++slot.lives}`;
    const log = this.#logOf(process);
    this.logs.set(process, log);
    const role = { ...slot.role, process, log, seed: this.#random.between(0, 2 ** 31 - 1), calm: this.#calm };
    return slot.process = new Process(slot.url, slot.permissions, role, this.#module);
  }

  /** A slot whose process runs and listens to signals, if there is one. */
  pick(fits: (slot: Slot<R>) => boolean = () => true): (Slot<R> & { process: Process }) | undefined {
    const running = this.slots.filter((slot) => {
      return slot.end === undefined && slot.process?.said("ready").length === 1 && fits(slot);
    });
    return running.length === 0 ? undefined : this.#random.pick(running) as Slot<R> & { process: Process };
  }

  /** Asks the process of a slot to close and end. */
  terminate(slot: Slot<R>): void {
    const { process } = slot;
    slot.end = "terminated";
    process!.terminate();
    const name = `${slot.name}-${slot.lives}`;
    const timer = setTimeout(() => {
      this.failures.push(`${name} does not end after SIGTERM`);
      slot.end = "killed";
      void process!.kill();
    }, PATIENCE);
    void process!.ended.then(() => clearTimeout(timer));
  }

  /** Ends the random failures of handlers. */
  async calm(): Promise<void> {
    this.#calm = true;
    await Promise.all(this.slots.map(async (slot) => {
      const { process } = slot;
      // An ending process may have removed its signal listener, so that the signal would kill it. Its successor starts calm.
      if (slot.end === undefined) await process?.wait("ready");
      if (slot.end === undefined && slot.process === process) process?.signal("SIGUSR2");
    }));
  }

  /** Has the processes of a role close, and waits until they have ended. */
  async end(name: FleetRole["name"]): Promise<void> {
    this.#over.add(name);
    await Promise.all(
      this.slots.filter(({ role }) => role.name === name).map(async (slot) => {
        if (slot.process === undefined) return;
        const { process } = slot;
        if (slot.end === undefined) {
          await process.wait("ready");
          this.terminate(slot);
        }
        await process.ended;
      }),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { role } of this.slots) this.#over.add(role.name);
    for (const slot of this.slots) {
      slot.end = "killed";
      await slot.process?.kill();
    }
    await Promise.all(this.#running);
  }
}
