import { dirname } from "node:path";

/** Another process that uses the file. */
export interface Child extends AsyncDisposable {
  /** The lines of its standard output. */
  readonly lines: AsyncIterator<string>;
  /** Kills it, and resolves when it has ended. */
  kill(): Promise<void>;
}

/** Starts `_child.ts` with a command. It has permissions for the directory of the file only. */
export function spawn(command: string, file: string, name = "child"): Child {
  const directory = dirname(file);
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--quiet",
      "--no-prompt",
      "--no-config",
      "--no-lock",
      `--allow-read=${directory}`,
      `--allow-write=${directory}`,
      new URL("./_child.ts", import.meta.url).pathname,
      command,
      file,
      name,
    ],
    // Closed when this process ends, by whatever cause: the child ends then, too.
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const lines = linesOf(child.stdout);
  const end = async () => {
    try {
      child.kill("SIGKILL");
    } catch {
      // It has ended already.
    }
    await child.stdin.close().catch(() => {});
    await child.status;
    while (!(await lines.next()).done);
  };
  return { lines, kill: end, [Symbol.asyncDispose]: end };
}

async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  let rest = "";
  for await (const text of stream.pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>)) {
    const lines = (rest + text).split("\n");
    rest = lines.pop()!;
    yield* lines;
  }
}
