/**
 * The command line of the examples: flags, Ctrl-C, and errors in one line.
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import { bold, inverse, setColorEnabled } from "@std/fmt/colors";
import type { StreamInfo } from "@tidings/broker";

const DEFAULT_BROKER = "sqlite:.tidings/auction.db";

/** What an example needs from its command line. */
export interface Command {
  /** The broker's URL. */
  url: string;
  /** Aborts on Ctrl-C, and when `fail` is called. */
  signal: AbortSignal;
  /** Ends the example with an error from the background, such as an error event of the broker. */
  fail(error: unknown): void;
  /** Prints the title. To be called after connecting: an example that cannot start prints its error and nothing else. */
  begin(): void;
}

/** An error that ends an example with this exit code. */
class ExitError extends Error {
  /** 1: the example failed; 2: wrong flags; 130: Ctrl-C. */
  readonly code: 1 | 2 | 130;

  constructor(code: 1 | 2 | 130, message: string) {
    super(message);
    this.code = code;
  }
}

/** Runs an example, prints its error, and sets the exit code. */
export async function main(name: string, about: string, example: (command: Command) => Promise<void>): Promise<void> {
  // `Deno.noColor` reads NO_COLOR without a permission.
  setColorEnabled(Deno.stdout.isTerminal() && !Deno.noColor);
  const stop = new AbortController();
  let exitTimer: ReturnType<typeof setTimeout> | undefined;
  const interrupt = () => {
    // A second Ctrl-C ends the process at once.
    Deno.removeSignalListener("SIGINT", interrupt);
    stop.abort(new ExitError(130, "Interrupted"));
    // Closing waits for unanswered commands. If the store cannot be reached, do not wait long: like after a kill, the
    // groups lose nothing.
    exitTimer = setTimeout(() => {
      console.error("Interrupted before the broker was closed");
      Deno.exit(130);
    }, 1_500);
  };
  Deno.addSignalListener("SIGINT", interrupt);
  try {
    const url = brokerUrl(name, about);
    if (url === undefined) return;
    await example({
      url,
      signal: stop.signal,
      fail: (error) => stop.abort(error),
      begin: () => console.log(`\n${inverse(bold(` ${name} `))} ${about}`),
    });
    stop.signal.throwIfAborted();
  } catch (caught) {
    // The reason of the abort says more than the errors of the waits that it ended.
    const error = stop.signal.aborted ? stop.signal.reason : caught;
    console.error(error instanceof Error ? error.message : String(error));
    Deno.exitCode = error instanceof ExitError ? error.code : 1;
  } finally {
    clearTimeout(exitTimer);
    Deno.removeSignalListener("SIGINT", interrupt);
  }
}

/** The value of the flag `--broker`; undefined after printing help. */
function brokerUrl(name: string, about: string): string | undefined {
  const { broker, help } = parseArgs(Deno.args, {
    string: ["broker"],
    boolean: ["help"],
    default: { broker: DEFAULT_BROKER },
    unknown: (arg) => {
      throw new ExitError(2, `Cannot run ${name}.ts: ${arg} is no flag; the flags are --broker=URL and --help`);
    },
  });
  if (help) {
    console.log(`${about}\n
Usage: deno task example ${name} [--broker=URL]\n
  --broker=URL  where the events are stored: "sqlite:<file>", "redis://<host>:<port>" or "memory:"
                [${DEFAULT_BROKER}]
  --help        prints this text`);
    return undefined;
  }
  if (broker === "") {
    throw new ExitError(2, `Cannot run ${name}.ts: --broker needs a URL; for example --broker=${DEFAULT_BROKER}`);
  }
  return broker;
}

/** A URL without its user name and password. */
export function shown(url: string): string {
  return url.replace(/:\/\/.*@/s, "://");
}

/** Rejects a broker that other processes cannot reach. */
export function assertShared(name: string, url: string): void {
  if (url.startsWith("memory:")) {
    throw inMemory(name, url, "other processes cannot read memory, and this example starts two");
  }
}

/** Rejects a broker that other programs cannot write to. */
export function assertRedis(name: string, url: string): void {
  if (/^rediss?:/.test(url)) return;
  throw new ExitError(
    2,
    `Cannot run ${name}.ts with "${
      shown(url)
    }": other programs have to publish to it; use --broker=redis://<host>:<port>`,
  );
}

/** Rejects a broker without a past: one in memory, or a missing file, which is not created. */
export function assertDurable(name: string, url: string): void {
  if (url.startsWith("memory:")) {
    throw inMemory(name, url, "memory ends with its process, and this is a new process");
  }
  if (url.startsWith("sqlite:") && isMissing(url.slice("sqlite:".length))) throw nothingYet(name, url);
}

/** Rejects a store without events. */
export function assertPast(name: string, url: string, infos: readonly StreamInfo[]): void {
  if (infos.every(({ length }) => length === 0)) throw nothingYet(name, url);
}

function inMemory(name: string, url: string, why: string): ExitError {
  const use = "use --broker=sqlite:<file> or --broker=redis://<host>:<port>";
  return new ExitError(2, `Cannot run ${name}.ts with "${shown(url)}": ${why}; ${use}`);
}

function nothingYet(name: string, url: string): ExitError {
  const flag = url === DEFAULT_BROKER ? "" : ` --broker=${shown(url)}`;
  return new ExitError(
    1,
    `Cannot run ${name}.ts: ${shown(url)} holds no events yet; first run: deno task example run${flag}`,
  );
}

function isMissing(path: string): boolean {
  try {
    Deno.statSync(path);
    return false;
  } catch (error) {
    // Connecting reports all other errors.
    return path !== "" && error instanceof Deno.errors.NotFound;
  }
}
