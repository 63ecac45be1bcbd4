import { fileURLToPath } from "node:url";

/** What to do about a process. */
export interface ProcessOptions {
  /** Ends it at once when it aborts. */
  signal: AbortSignal;
  /** Told when it ends though nobody asked it to. */
  fail(error: Error): void;
  /** Given each line of JSON that it says. */
  heard(line: unknown): void;
}

/** An example's other process. The end of its input tells it to end, also when this process is killed. */
export class Process implements AsyncDisposable {
  readonly pid: number;
  #child: Deno.ChildProcess;
  #ended: Promise<void>;
  #asked = false;

  constructor(file: string, permissions: readonly string[], args: readonly string[], options: ProcessOptions) {
    this.#child = new Deno.Command(Deno.execPath(), {
      args: ["run", "--quiet", "--no-prompt", ...importFlags(), ...permissions, path(file), ...args],
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    this.pid = this.#child.pid;
    this.#ended = this.#run(options);
  }

  async #run({ signal, fail, heard }: ProcessOptions): Promise<void> {
    let rest = "";
    const decoder = new TextDecoder();
    for await (const bytes of this.#child.stdout) {
      const lines = (rest + decoder.decode(bytes, { stream: true })).split("\n");
      rest = lines.pop()!;
      for (const line of lines) heard(JSON.parse(line));
    }
    const { code } = await this.#child.status;
    if (!this.#asked && !signal.aborted) fail(new Error(`Cannot go on: process ${this.pid} ended with ${code}`));
  }

  /** Ends it with no time for anything, and waits until it has. */
  async kill(): Promise<void> {
    if (!this.#asked) this.#child.kill("SIGKILL");
    this.#asked = true;
    await this.#ended;
  }

  /** Asks it to end, and waits until it has; what does not listen is killed. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#asked = true;
    // It may have ended before, and then there is nobody to tell.
    await this.#child.stdin.close().catch(() => {});
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), 5_000);
    await this.#ended;
    clearTimeout(timer);
  }
}

/** Flags by which it finds packages as this process does: on JSR, or in what stands in for it where it is out of reach. */
function importFlags(): string[] {
  if (import.meta.resolve("@std/fmt/colors").startsWith("jsr:")) return [];
  return [`--import-map=${path("../offline/imports.json")}`, `--lock=${path("../offline/demo.lock")}`];
}

function path(file: string): string {
  return fileURLToPath(new URL(file, import.meta.url));
}
