import { dirname } from "node:path";

/** Another process that uses the file. */
export interface Child extends AsyncDisposable {
  /** The lines that it says, as they come. */
  readonly lines: AsyncIterator<string>;
  kill(): Promise<void>;
}

/** Starts `_child.ts` with a command; it may touch the directory of the file, and nothing else. */
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
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const lines = linesOf(child.stdout);
  const end = async () => {
    try {
      child.kill("SIGKILL");
    } catch {
      // It ended before.
    }
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
