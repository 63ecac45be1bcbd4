import { programArgs } from "./_imports.ts";
import type { Sample } from "./_case.ts";
import type { Role } from "./_roles.ts";

/** A child process of the bench. It prepares, starts when `tell` is called, and prints its figures at the end. */
export class Process {
  #child: Deno.ChildProcess;
  #lines: AsyncIterator<string>;
  #input: WritableStreamDefaultWriter<Uint8Array>;

  private constructor(role: Role) {
    this.#child = new Deno.Command(Deno.execPath(), {
      args: [...programArgs("_child.ts"), JSON.stringify(role)],
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    this.#lines = linesOf(this.#child.stdout);
    this.#input = this.#child.stdin.getWriter();
  }

  /** Starts a child process. Resolves once the process is ready. */
  static async start(role: Role): Promise<Process> {
    const process = new Process(role);
    await process.#line("ready");
    return process;
  }

  /** Signals the process to start, or to stop work that runs until a signal. */
  async tell(): Promise<void> {
    await this.#input.write(new TextEncoder().encode("\n"));
  }

  /** The figures of the process. */
  async result(): Promise<Sample> {
    return JSON.parse(await this.#line());
  }

  async #line(expected?: string): Promise<string> {
    const { value, done } = await this.#lines.next();
    if (!done && (expected === undefined || value === expected)) return value;
    throw new Error(`Cannot continue with process ${this.#child.pid}: it printed ${done ? "nothing" : value}`);
  }

  /** Kills the process, with no time to clean up. */
  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#child.status;
  }

  /** Ends the process by closing its input. Kills it after 20 seconds. */
  async close(): Promise<void> {
    await this.#input.close().catch(() => {});
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), 20_000);
    await this.#child.status;
    clearTimeout(timer);
    await this.#lines.return?.();
  }
}

async function* linesOf(bytes: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  let rest = "";
  for await (const text of bytes.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop()!;
    yield* lines;
  }
}
