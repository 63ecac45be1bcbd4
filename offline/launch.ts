/**
 * Runs a Deno subcommand with imports that this machine can reach, so that the same command line works everywhere:
 *
 *     deno run -A offline/launch.ts test -P tests/events
 *
 * @module
 */
import { delimiter, dirname } from "node:path";
import { importFlags, importSource, type Source, withLock } from "./imports.ts";
import { findRedisServer, serverPermissions } from "./redis_server.ts";

/**
 * Runs `deno <subcommand> <import flags> <args>` on this terminal, and waits until it ends.
 *
 * @param options.lock The lock file of the stand-ins. @default {`offline/deno.lock`}
 * @param options.env Environment variables that are added.
 * @returns The exit code of the subcommand; 130 if Ctrl-C ended it.
 */
export async function launch(
  subcommand: string,
  args: readonly string[],
  options: { readonly lock?: string; readonly env?: Record<string, string> } = {},
): Promise<number> {
  const child = (await commandOf(subcommand, args, options)).spawn();
  const { code, interrupted } = await ended(child);
  return interrupted && code === 0 ? 130 : code;
}

/**
 * Makes the command `deno <subcommand> <import flags> <args>`. Tests get the permissions for the servers that they start.
 *
 * @param options The options of `Deno.Command`; also `lock`, a lock file that replaces that of the stand-ins, and `server`, the
 * server program that tests start. @default {server: the first that is found}
 */
export async function commandOf(
  subcommand: string,
  args: readonly string[],
  { env, lock, server = subcommand === "test" ? findRedisServer() : undefined, ...options }:
    & Deno.CommandOptions
    & { readonly lock?: string | undefined; readonly server?: string | undefined } = {},
): Promise<Deno.Command> {
  const source = await importSource();
  const flags = subcommand === "lint" ? [] : importFlags[source];
  const imports = lock === undefined ? flags : withLock(flags, lock);
  const permissions = subcommand === "test" ? serverPermissions(server) : [];
  return new Deno.Command(Deno.execPath(), {
    ...options,
    args: [subcommand, ...imports, ...permissions, ...args],
    env: { ...childEnv(source), ...(server !== undefined && { REDIS_SERVER: server }), ...env },
  });
}

/**
 * The environment of a child process: it uses the same imports, and finds this Deno as `deno`, which `npx` does not put on the
 * PATH.
 */
export function childEnv(source: Source): Record<string, string> {
  const env = { TIDINGS_JSR: source, PATH: dirname(Deno.execPath()) + delimiter + (Deno.env.get("PATH") ?? "") };
  // `deno lint` takes no import map, and waits for JSR forever if packets are dropped. With this address it fails at once.
  return source === "jsr" ? env : { ...env, JSR_URL: "http://127.0.0.1:9/" };
}

/** Waits for a child, and forwards signals that would otherwise end only this process. */
async function ended(child: Deno.ChildProcess): Promise<{ code: number; interrupted: boolean }> {
  let interrupted = false;
  const interrupt = () => {
    interrupted = true;
    // A terminal also sends Ctrl-C to the child. A second one would interrupt its clean-up.
    if (!isOnTerminal()) child.kill("SIGINT");
  };
  const terminate = () => child.kill("SIGTERM");
  const signals: [Deno.Signal, () => void][] = [["SIGINT", interrupt]];
  if (Deno.build.os !== "windows") signals.push(["SIGTERM", terminate]);
  for (const [signal, listener] of signals) Deno.addSignalListener(signal, listener);
  try {
    const { code } = await child.status;
    return { code, interrupted };
  } finally {
    for (const [signal, listener] of signals) Deno.removeSignalListener(signal, listener);
  }
}

/** Whether a terminal can interrupt this process: input and output may be redirected, but hardly all of them. */
function isOnTerminal(): boolean {
  return [Deno.stdin, Deno.stdout, Deno.stderr].some((stream) => stream.isTerminal());
}

if (import.meta.main) {
  const [subcommand, ...args] = Deno.args;
  if (subcommand === undefined) {
    console.error("Cannot launch Deno: no subcommand was given; write, for example, `deno task test:unit`");
    Deno.exit(2);
  }
  Deno.exit(await launch(subcommand, args));
}
