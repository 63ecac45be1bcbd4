import { assertEquals } from "@std/assert";
import { fileURLToPath } from "node:url";
import { inheritedImportFlags } from "../../offline/imports.ts";
import type { Line, Role } from "./_child.ts";

// A test that is going to fail says so, rather than wait for ever.
const TIMEOUT = 20_000;

/** Polls until the condition holds. */
export async function until(condition: () => boolean | Promise<boolean>, what: () => string): Promise<void> {
  const deadline = performance.now() + TIMEOUT;
  while (!await condition()) {
    if (performance.now() > deadline) throw new Error(`Waited ${TIMEOUT} ms in vain until ${what()}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** A process that plays a role; disposing it kills it. */
export class Process implements AsyncDisposable {
  /** How it ended, once all that it said has been read. */
  readonly ended: Promise<Deno.CommandStatus>;
  #role: { readonly name: string };
  #child: Deno.ChildProcess;
  #stdin: WritableStreamDefaultWriter<Uint8Array>;
  #lines: Line[] = [];
  #counts = new Map<string, number>();
  #over = false;

  /** @param module What it runs, which is given the URL, the role as JSON and the number of this process. */
  constructor(
    url: string,
    permissions: readonly string[],
    role: Role | { readonly name: string },
    module: URL = new URL("./_child.ts", import.meta.url),
  ) {
    this.#role = role;
    this.#child = new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "--quiet",
        "--no-prompt",
        ...inheritedImportFlags(),
        ...permissions,
        fileURLToPath(module),
        url,
        JSON.stringify(role),
        // Its parent may be gone before it looks for itself who that is.
        String(Deno.pid),
      ],
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    this.#stdin = this.#child.stdin.getWriter();
    this.ended = this.#listen();
  }

  async #listen(): Promise<Deno.CommandStatus> {
    let rest = "";
    const decoder = new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>;
    for await (const text of this.#child.stdout.pipeThrough(decoder)) {
      const lines = (rest + text).split("\n");
      rest = lines.pop()!;
      for (const line of lines) this.#heard(JSON.parse(line));
    }
    const status = await this.#child.status;
    this.#over = true;
    await this.#stdin.close().catch(() => {});
    return status;
  }

  #heard(line: Line): void {
    this.#lines.push(line);
    this.#counts.set(line.kind, this.#count(line.kind) + 1);
  }

  #count(kind: string): number {
    return this.#counts.get(kind) ?? 0;
  }

  /** What it has said of this kind, in order. */
  said(kind: string): Line[] {
    return this.#lines.filter((line) => line.kind === kind);
  }

  /** The ids of events in what it has said of this kind, in order. */
  ids(kind: string): string[] {
    return this.said(kind).map(({ id }) => id!);
  }

  /** Waits until it has said so many things of this kind, and rejects when it cannot any more. */
  async wait(kind: string, count = 1): Promise<Line[]> {
    const missing = () => `${this.#role.name} says ${kind} ${count} times: it did ${this.#count(kind)} times`;
    await until(() => this.#count(kind) >= count || this.#over, missing);
    if (this.#count(kind) < count) throw new Error(`Waited in vain until ${missing()}, and is over`);
    return this.said(kind);
  }

  /** Lets it go on where it waits for that. */
  async tell(): Promise<void> {
    await this.#stdin.write(new TextEncoder().encode("go\n"));
  }

  /** Sends it a signal of its own meaning. */
  signal(signal: Deno.Signal): void {
    this.#child.kill(signal);
  }

  /** Stops it where it stands. */
  pause(): void {
    this.#child.kill("SIGSTOP");
  }

  /** Wakes it from that. */
  resume(): void {
    this.#child.kill("SIGCONT");
  }

  /** Asks it to close and end. */
  terminate(): void {
    this.#child.kill("SIGTERM");
  }

  /** Has it close, and waits until it is over and all that it said has been read. */
  async end(): Promise<void> {
    this.terminate();
    assertEquals((await this.ended).code, 0);
  }

  /** Ends it at once, whatever it does; resolves when it is over. */
  async kill(): Promise<void> {
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // It ended before.
    }
    await this.ended;
  }

  /** The same as `kill`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.kill();
  }
}
