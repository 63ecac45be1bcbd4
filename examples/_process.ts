import { fileURLToPath } from "node:url";

/** How an example follows its other process. */
export interface ProcessOptions {
  /** Aborted when the example ends: the process may then end too. */
  signal: AbortSignal;
  /** Called when the process ends by itself. */
  fail(error: Error): void;
  /** Called with each line of JSON that the process prints. */
  onLine(line: unknown): void;
}

/** Another process of an example. It ends when its input ends, which also happens when this process is killed. */
export class Process implements AsyncDisposable {
  readonly pid: number;
  #child: Deno.ChildProcess;
  #ended: Promise<void>;
  #ending = false;

  constructor(file: string, permissions: readonly string[], args: readonly string[], options: ProcessOptions) {
    this.#child = new Deno.Command(Deno.execPath(), {
      args: ["run", "--quiet", "--no-prompt", ...importFlags(), ...permissions, path(file), ...args],
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    this.pid = this.#child.pid;
    this.#ended = this.#run(options);
  }

  async #run({ signal, fail, onLine }: ProcessOptions): Promise<void> {
    let rest = "";
    const decoder = new TextDecoder();
    for await (const bytes of this.#child.stdout) {
      const lines = (rest + decoder.decode(bytes, { stream: true })).split("\n");
      rest = lines.pop()!;
      for (const line of lines) onLine(JSON.parse(line));
    }
    const { code } = await this.#child.status;
    if (!this.#ending && !signal.aborted) fail(new Error(`Cannot go on: process ${this.pid} ended with code ${code}`));
  }

  /** Kills the process, and waits for its end. */
  async kill(): Promise<void> {
    if (!this.#ending) this.#child.kill("SIGKILL");
    this.#ending = true;
    await this.#ended;
  }

  /** Closes the input of the process and waits for its end. After 5 s, kills it. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending = true;
    // Fails if the process has already ended.
    await this.#child.stdin.close().catch(() => {});
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), 5_000);
    await this.#ended;
    clearTimeout(timer);
  }
}

/** Flags with which the process finds packages where this one does: on JSR, or in the stand-ins for it. */
function importFlags(): string[] {
  if (import.meta.resolve("@std/fmt/colors").startsWith("jsr:")) return [];
  return [`--import-map=${path("../offline/imports.json")}`, `--lock=${path("../offline/demo.lock")}`];
}

function path(file: string): string {
  return fileURLToPath(new URL(file, import.meta.url));
}
