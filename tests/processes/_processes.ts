import { assertEquals } from "@std/assert";
import { fileURLToPath } from "node:url";
import { inheritedImportFlags } from "../../offline/imports.ts";
import type { Line, Role } from "./_child.ts";

// A failing test reports its condition instead of waiting forever.
const TIMEOUT = 20_000;

/** Polls until the condition holds. */
export async function until(condition: () => boolean | Promise<boolean>, description: () => string): Promise<void> {
  const deadline = performance.now() + TIMEOUT;
  while (!await condition()) {
    if (performance.now() > deadline) throw new Error(`Waited ${TIMEOUT} ms in vain until ${description()}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** A process with a role. Disposing kills it. */
export class Process implements AsyncDisposable {
  /** Resolves with its exit status, once all its output has been read. */
  readonly ended: Promise<Deno.CommandStatus>;
  #role: { readonly name: string };
  #child: Deno.ChildProcess;
  #stdin: WritableStreamDefaultWriter<Uint8Array>;
  #lines: Line[] = [];
  #counts = new Map<string, number>();
  #over = false;

  /** @param module Its main module. Its arguments are the URL, the role as JSON and the id of this process. */
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
        // Given as an argument, since this process may end before the child can ask for its parent's id.
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
      for (const line of lines) this.#add(JSON.parse(line));
    }
    const status = await this.#child.status;
    this.#over = true;
    await this.#stdin.close().catch(() => {});
    return status;
  }

  #add(line: Line): void {
    this.#lines.push(line);
    this.#counts.set(line.kind, this.#count(line.kind) + 1);
  }

  #count(kind: string): number {
    return this.#counts.get(kind) ?? 0;
  }

  /** Its lines of this kind, in order. */
  said(kind: string): Line[] {
    return this.#lines.filter((line) => line.kind === kind);
  }

  /** Its last line of one of these kinds. */
  last(...kinds: readonly string[]): Line | undefined {
    return this.#lines.findLast(({ kind }) => kinds.includes(kind));
  }

  /** The event ids of its lines of this kind, in order. */
  ids(kind: string): string[] {
    return this.said(kind).map(({ id }) => id!);
  }

  /** Waits for `count` lines of this kind, and rejects if the process ends before. */
  async wait(kind: string, count = 1): Promise<Line[]> {
    const missing = () => `${this.#role.name} prints ${kind} ${count} times: it printed it ${this.#count(kind)} times`;
    await until(() => this.#count(kind) >= count || this.#over, missing);
    if (this.#count(kind) < count) throw new Error(`Waited in vain until ${missing()}, and ended`);
    return this.said(kind);
  }

  /** Writes the line on standard input that its gated handlers wait for. */
  async tell(): Promise<void> {
    await this.#stdin.write(new TextEncoder().encode("go\n"));
  }

  /** Sends it a signal. */
  signal(signal: Deno.Signal): void {
    this.#child.kill(signal);
  }

  /** Freezes it by SIGSTOP. */
  pause(): void {
    this.#child.kill("SIGSTOP");
  }

  /** Continues it by SIGCONT. */
  resume(): void {
    this.#child.kill("SIGCONT");
  }

  /** Asks it by SIGTERM to close and end. */
  terminate(): void {
    this.#child.kill("SIGTERM");
  }

  /** Asks it to close, and waits until it has ended with code 0. */
  async end(): Promise<void> {
    this.terminate();
    assertEquals((await this.ended).code, 0);
  }

  /** Kills it by SIGKILL; resolves when it has ended. */
  async kill(): Promise<void> {
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // It has ended already.
    }
    await this.ended;
  }

  /** The same as `kill`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.kill();
  }
}
