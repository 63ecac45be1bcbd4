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
  /** The value of each further flag. */
  flags: Readonly<Record<string, string>>;
  /** Aborts on Ctrl-C, and when `fail` is called. */
  signal: AbortSignal;
  /** Ends the example with an error from the background, such as an error event of the broker. */
  fail(error: unknown): void;
  /** Prints the title. To be called after connecting: an example that cannot start prints its error and nothing else. */
  begin(): void;
}

/** How an example differs from the others. */
export interface MainOptions {
  /** Flags beside `--broker` and `--help`, with their defaults. */
  flags?: Readonly<Record<string, { value: string; about: string; initial: string }>>;
  /** Whether it runs until Ctrl-C or SIGTERM, so that these are no failure. */
  endless?: boolean;
}

/** An error that ends an example with this exit code. */
export class ExitError extends Error {
  /** 0: Ctrl-C, where that is no failure; 1: the example failed; 2: wrong flags; 130: Ctrl-C. */
  readonly code: 0 | 1 | 2 | 130;

  constructor(code: 0 | 1 | 2 | 130, message: string) {
    super(message);
    this.code = code;
  }
}

/** Runs an example, prints its error, and sets the exit code. */
export async function main(
  name: string,
  about: string,
  example: (command: Command) => Promise<void>,
  { flags = {}, endless = false }: MainOptions = {},
): Promise<void> {
  // `Deno.noColor` reads NO_COLOR without a permission.
  setColorEnabled(Deno.stdout.isTerminal() && !Deno.noColor);
  const stop = new AbortController();
  let exitTimer: ReturnType<typeof setTimeout> | undefined;
  let secondTimer: ReturnType<typeof setTimeout> | undefined;
  const unlisten = () => {
    for (const signal of signals) Deno.removeSignalListener(signal, interrupt);
  };
  const interrupt = () => {
    if (secondTimer !== undefined) return;
    // A second Ctrl-C ends the process at once, but a launcher may forward the first one that the terminal sent here, too.
    secondTimer = setTimeout(unlisten, 250);
    stop.abort(new ExitError(endless ? 0 : 130, "Interrupted"));
    // Closing waits for unanswered commands. If the store cannot be reached, do not wait long: like after a kill, the
    // groups lose nothing.
    exitTimer = setTimeout(() => {
      console.error("Interrupted before the broker was closed");
      Deno.exit(130);
    }, 1_500);
  };
  // Orchestrators end endless programs by SIGTERM.
  const signals: Deno.Signal[] = endless && Deno.build.os !== "windows" ? ["SIGINT", "SIGTERM"] : ["SIGINT"];
  for (const signal of signals) Deno.addSignalListener(signal, interrupt);
  try {
    const given = readFlags(name, about, flags);
    if (given === undefined) return;
    await example({
      ...given,
      signal: stop.signal,
      fail: (error) => stop.abort(error),
      begin: () => console.log(`\n${inverse(bold(` ${name} `))} ${about}`),
    });
    stop.signal.throwIfAborted();
  } catch (caught) {
    // The reason of the abort says more than the errors of the waits that it ended.
    const error = stop.signal.aborted ? stop.signal.reason : caught;
    if (error instanceof ExitError && error.code === 0) return;
    console.error(error instanceof Error ? error.message : String(error));
    Deno.exitCode = error instanceof ExitError ? error.code : 1;
  } finally {
    clearTimeout(exitTimer);
    clearTimeout(secondTimer);
    unlisten();
  }
}

/** The broker's URL and the values of the other flags; undefined after printing help. */
function readFlags(
  name: string,
  about: string,
  others: NonNullable<MainOptions["flags"]>,
): { readonly url: string; readonly flags: Readonly<Record<string, string>> } | undefined {
  const flags: NonNullable<MainOptions["flags"]> = {
    broker: {
      value: "URL",
      about: "where the events are stored: sqlite:<file>, redis://<host>:<port>, memory:",
      initial: DEFAULT_BROKER,
    },
    ...others,
  };
  const names = Object.keys(flags);
  const shownFlags = Object.entries(flags).map(([flag, { value }]) => `--${flag}=${value}`);
  const { help, _, ...values } = parseArgs(Deno.args, {
    string: names,
    boolean: ["help"],
    default: Object.fromEntries(Object.entries(flags).map(([flag, { initial }]) => [flag, initial])),
    unknown: (arg) => {
      const all = shownFlags.join(", ");
      throw new ExitError(2, `Cannot run ${name}.ts: ${arg} is no flag; the flags are ${all} and --help`);
    },
  });
  if (help) {
    const lines = Object.values(flags).map(({ about, initial }, nth) => {
      return `  ${shownFlags[nth]}  [${initial}]\n      ${about}`;
    });
    const usage = shownFlags.length === 1 ? `[${shownFlags[0]}]` : "[FLAGS]";
    console.log(`${about}\n
Usage: deno task example ${name} ${usage}\n
${lines.join("\n")}
  --help
      prints this text`);
    return undefined;
  }
  for (const [flag, { value, initial }] of Object.entries(flags)) {
    if (values[flag] !== "") continue;
    throw new ExitError(2, `Cannot run ${name}.ts: --${flag} needs a ${value}; for example --${flag}=${initial}`);
  }
  return { url: values.broker!, flags: values };
}

/** A URL without its user name and password. */
export function shown(url: string): string {
  return url.replace(/:\/\/.*@/s, "://");
}

/** Rejects a broker that other processes cannot reach. */
export function assertShared(name: string, url: string): void {
  if (url.startsWith("memory:")) {
    throw inMemory(name, url, "other processes cannot read memory, and this example starts some");
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
