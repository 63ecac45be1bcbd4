import { Process } from "../processes/_processes.ts";
import { type ChaosRole, DEADLY } from "./_chaos_event.ts";
import type { Chance } from "./_seed.ts";

/** A place in the fleet: whoever ends in it is followed by another. */
export interface Berth {
  readonly name: string;
  readonly role: Omit<ChaosRole, "log" | "seed" | "calm">;
  readonly url: string;
  readonly permissions: readonly string[];
  process: Process | undefined;
  /** How its end is brought about, if it is. */
  end: "killed" | "terminated" | undefined;
  lives: number;
}

/** The processes, each of which is started again when it ends. */
export class Fleet implements AsyncDisposable {
  readonly berths: readonly Berth[];
  /** The files that processes say in what happens, by the process's name. */
  readonly logs = new Map<string, string>();
  /** Processes that ended as none should. */
  readonly failures: string[] = [];
  /** How often an event ended its process. */
  deaths = 0;
  #folder: string;
  #random: Chance;
  #calm = false;
  #over = new Set<string>();
  #running = new Set<Promise<void>>();

  constructor(folder: string, random: Chance, berths: readonly Omit<Berth, "process" | "end" | "lives">[]) {
    this.#folder = folder;
    this.#random = random;
    this.berths = berths.map((berth) => ({ ...berth, process: undefined, end: undefined, lives: 0 }));
    for (const berth of this.berths) {
      const running = this.#keepRunning(berth);
      this.#running.add(running);
    }
  }

  async #keepRunning(berth: Berth): Promise<void> {
    while (!this.#over.has(berth.role.name)) {
      const { code, signal } = await this.#start(berth).ended;
      const how = berth.end;
      berth.process = berth.end = undefined;
      if (code === DEADLY) this.deaths++;
      else if (how === "killed" ? signal !== "SIGKILL" : how === undefined || code !== 0) {
        this.failures.push(`${berth.name}-${berth.lives} ended with code ${code}, ${how ?? "by itself"}`);
      }
      await new Promise((resolve) => setTimeout(resolve, this.#random.between(0, 499)));
    }
  }

  #start(berth: Berth): Process {
    const name = `${berth.name}-${++berth.lives}`;
    const log = `${this.#folder}/${name}.log`;
    this.logs.set(name, log);
    const role: ChaosRole = { ...berth.role, log, seed: this.#random.between(0, 2 ** 31 - 1), calm: this.#calm };
    return berth.process = new Process(
      berth.url,
      berth.permissions,
      role,
      new URL("./_chaos_child.ts", import.meta.url),
    );
  }

  /** A place whose process runs and heeds signals, if there is any. */
  pick(): (Berth & { process: Process }) | undefined {
    const there = this.berths.filter(({ end, process }) => end === undefined && process?.said("ready").length === 1);
    return there.length === 0 ? undefined : this.#random.pick(there) as Berth & { process: Process };
  }

  /** From now on nothing is done at random. */
  async calm(): Promise<void> {
    this.#calm = true;
    await Promise.all(this.berths.map(async (berth) => {
      const { process } = berth;
      // Who ends may have stopped to listen already, and a signal would kill it. Who follows is calm from the beginning.
      if (berth.end === undefined) await process?.wait("ready");
      if (berth.end === undefined && berth.process === process) process?.signal("SIGUSR2");
    }));
  }

  /** Has those of a role close, and waits until they have. */
  async end(name: ChaosRole["name"]): Promise<void> {
    this.#over.add(name);
    await Promise.all(
      this.berths.filter(({ role }) => role.name === name).map(async (berth) => {
        if (berth.process === undefined) return;
        const { process } = berth;
        if (berth.end === undefined) {
          await process.wait("ready");
          berth.end = "terminated";
          process.terminate();
        }
        await process.ended;
      }),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { role } of this.berths) this.#over.add(role.name);
    for (const berth of this.berths) {
      berth.end = "killed";
      await berth.process?.kill();
    }
    await Promise.all(this.#running);
  }
}
