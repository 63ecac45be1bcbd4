import { programArgs } from "./_imports.ts";
import type { Sample } from "./_case.ts";
import type { Role } from "./_roles.ts";

/** Another process of the bench: it gets ready, begins when it is told to, and in the end says what it found. */
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

  /** Resolves once it is ready. */
  static async start(role: Role): Promise<Process> {
    const process = new Process(role);
    await process.#line("ready");
    return process;
  }

  /** Tells it to begin, or to end what goes on until it is told so. */
  async tell(): Promise<void> {
    await this.#input.write(new TextEncoder().encode("\n"));
  }

  /** What it found. */
  async result(): Promise<Sample> {
    return JSON.parse(await this.#line());
  }

  async #line(expected?: string): Promise<string> {
    const { value, done } = await this.#lines.next();
    if (!done && (expected === undefined || value === expected)) return value;
    throw new Error(`Cannot go on with process ${this.#child.pid}: it said ${done ? "nothing" : value}`);
  }

  /** Has it die with no time for anything. */
  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#child.status;
  }

  /** Has it end: the end of its input tells it so. */
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
