import { Process } from "../processes/_processes.ts";
import { type ChaosRole, DEADLY } from "./_chaos_event.ts";
import type { Chance } from "./_seed.ts";

/** A slot for one process. A process that ended is replaced by a new one. */
export interface Slot {
  readonly name: string;
  readonly role: Omit<ChaosRole, "log" | "seed" | "calm">;
  readonly url: string;
  readonly permissions: readonly string[];
  process: Process | undefined;
  /** How the test ends the process, if it does. */
  end: "killed" | "terminated" | undefined;
  lives: number;
}

/** The processes. Each one is started again when it ends. */
export class Fleet implements AsyncDisposable {
  readonly slots: readonly Slot[];
  /** The log files, by the name of the process. */
  readonly logs = new Map<string, string>();
  /** Processes that ended unexpectedly. */
  readonly failures: string[] = [];
  /** How many processes a deadly event ended. */
  deaths = 0;
  #folder: string;
  #random: Chance;
  #calm = false;
  #over = new Set<string>();
  #running = new Set<Promise<void>>();

  constructor(folder: string, random: Chance, slots: readonly Omit<Slot, "process" | "end" | "lives">[]) {
    this.#folder = folder;
    this.#random = random;
    this.slots = slots.map((slot) => ({ ...slot, process: undefined, end: undefined, lives: 0 }));
    for (const slot of this.slots) {
      const running = this.#keepRunning(slot);
      this.#running.add(running);
    }
  }

  async #keepRunning(slot: Slot): Promise<void> {
    while (!this.#over.has(slot.role.name)) {
      const { code, signal } = await this.#start(slot).ended;
      const how = slot.end;
      slot.process = slot.end = undefined;
      if (code === DEADLY) this.deaths++;
      else if (how === "killed" ? signal !== "SIGKILL" : how === undefined || code !== 0) {
        this.failures.push(`${slot.name}-${slot.lives} ended with code ${code}, ${how ?? "by itself"}`);
      }
      await new Promise((resolve) => setTimeout(resolve, this.#random.between(0, 499)));
    }
  }

  #start(slot: Slot): Process {
    const name = `${slot.name}-${++slot.lives}`;
    const log = `${this.#folder}/${name}.log`;
    this.logs.set(name, log);
    const role: ChaosRole = { ...slot.role, log, seed: this.#random.between(0, 2 ** 31 - 1), calm: this.#calm };
    return slot.process = new Process(
      slot.url,
      slot.permissions,
      role,
      new URL("./_chaos_child.ts", import.meta.url),
    );
  }

  /** A slot whose process runs and listens to signals, if there is one. */
  pick(): (Slot & { process: Process }) | undefined {
    const running = this.slots.filter(({ end, process }) => end === undefined && process?.said("ready").length === 1);
    return running.length === 0 ? undefined : this.#random.pick(running) as Slot & { process: Process };
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
  async end(name: ChaosRole["name"]): Promise<void> {
    this.#over.add(name);
    await Promise.all(
      this.slots.filter(({ role }) => role.name === name).map(async (slot) => {
        if (slot.process === undefined) return;
        const { process } = slot;
        if (slot.end === undefined) {
          await process.wait("ready");
          slot.end = "terminated";
          process.terminate();
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
