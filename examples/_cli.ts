/**
 * What the examples have in common as commands: flags, Ctrl-C, and errors as one line.
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import { bold, inverse, setColorEnabled } from "@std/fmt/colors";
import type { StreamInfo } from "@tidings/broker";

const DEFAULT_BROKER = "sqlite:.tidings/auction.db";

/** What an example is given. */
export interface Command {
  /** Where the events are. */
  url: string;
  /** Aborts on Ctrl-C, and when something failed that nobody waits for. */
  signal: AbortSignal;
  /** Ends the example with an error that nobody waits for. */
  fail(error: unknown): void;
  /** Says what the example is. Not before the broker is there: what cannot begin prints one line, and that is why. */
  begin(): void;
}

/** Ends an example with one line and an exit code. */
class ExitError extends Error {
  /** 1: it could not be done; 2: it was asked in the wrong way; 130: Ctrl-C. */
  readonly code: 1 | 2 | 130;

  constructor(code: 1 | 2 | 130, message: string) {
    super(message);
    this.code = code;
  }
}

/** Runs an example to its end and sets the exit code. */
export async function main(name: string, about: string, example: (command: Command) => Promise<void>): Promise<void> {
  // `NO_COLOR` is Deno's own to read, so that no permission is needed.
  setColorEnabled(Deno.stdout.isTerminal() && !Deno.noColor);
  const stop = new AbortController();
  let hurry: ReturnType<typeof setTimeout> | undefined;
  const interrupt = () => {
    // A second Ctrl-C is not asked to be patient.
    Deno.removeSignalListener("SIGINT", interrupt);
    stop.abort(new ExitError(130, "Interrupted"));
    // With a store that is away, closing would wait some time for what has no answer yet. No promise is broken by not
    // waiting: it is as if this process was killed.
    hurry = setTimeout(() => {
      console.error("Interrupted, with the broker's store away");
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
    // Whatever an aborted wait rejects with, why it was aborted says more.
    const error = stop.signal.aborted ? stop.signal.reason : caught;
    console.error(error instanceof Error ? error.message : String(error));
    Deno.exitCode = error instanceof ExitError ? error.code : 1;
  } finally {
    clearTimeout(hurry);
    Deno.removeSignalListener("SIGINT", interrupt);
  }
}

/** The flag `--broker`, or undefined when only help was asked for. */
function brokerUrl(name: string, about: string): string | undefined {
  const { broker, help } = parseArgs(Deno.args, {
    string: ["broker"],
    boolean: ["help"],
    default: { broker: DEFAULT_BROKER },
    unknown: (arg) => {
      throw new ExitError(2, `Cannot run ${name}.ts: ${arg} is no flag of it, there are --broker=URL and --help`);
    },
  });
  if (help) {
    console.log(`${about}\n
Usage: deno task example ${name} [--broker=URL]\n
  --broker=URL  where the events are: "sqlite:<file>", "redis://<host>:<port>" or "memory:"
                [${DEFAULT_BROKER}]
  --help        shows this`);
    return undefined;
  }
  if (broker === "") throw new ExitError(2, `Cannot run ${name}.ts: --broker needs a URL, such as ${DEFAULT_BROKER}`);
  return broker;
}

/** Refuses a broker that other processes cannot reach. */
export function assertShared(name: string, url: string): void {
  if (url.startsWith("memory:")) throw inMemory(name, url, "memory is its process's own, and here two share the work");
}

/** Refuses a broker that other programs cannot write to. */
export function assertRedis(name: string, url: string): void {
  if (/^rediss?:/.test(url)) return;
  throw new ExitError(
    2,
    `Cannot run ${name}.ts with "${url}": other programs publish there; take --broker=redis://<host>:<port>`,
  );
}

/** Refuses a broker that cannot hold a past: one in memory, or a file that is not there. Nothing is made by asking. */
export function assertDurable(name: string, url: string): void {
  if (url.startsWith("memory:")) {
    throw inMemory(name, url, "memory ends with its process, and this is a new one");
  }
  if (url.startsWith("sqlite:") && isMissing(url.slice("sqlite:".length))) throw nothingYet(name, url);
}

/** Refuses to show a past that is not there. */
export function assertPast(name: string, url: string, infos: readonly StreamInfo[]): void {
  if (infos.every(({ length }) => length === 0)) throw nothingYet(name, url);
}

function inMemory(name: string, url: string, why: string): ExitError {
  const take = "take --broker=sqlite:<file> or --broker=redis://<host>:<port>";
  return new ExitError(2, `Cannot run ${name}.ts with "${url}": ${why}; ${take}`);
}

function nothingYet(name: string, url: string): ExitError {
  const flag = url === DEFAULT_BROKER ? "" : ` --broker=${url}`;
  return new ExitError(1, `Cannot run ${name}.ts: ${url} holds no events yet; first run: deno task example run${flag}`);
}

function isMissing(path: string): boolean {
  try {
    Deno.statSync(path);
    return false;
  } catch (error) {
    // Whatever else is wrong with it, connecting says it better.
    return path !== "" && error instanceof Deno.errors.NotFound;
  }
}
