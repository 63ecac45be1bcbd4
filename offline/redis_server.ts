/**
 * Finds the Redis server program that tests start on free ports, or installs one if that is possible.
 *
 * @module
 */
import { canInstall, findProgram, installPackage } from "./programs.ts";
import { prometheusPrograms } from "./prometheus.ts";

const NAMES = ["redis-server", "valkey-server"];
const OLDEST = { Redis: "7.0", Valkey: "7.2" };

/** The path in `REDIS_SERVER`, otherwise that of `redis-server` or `valkey-server` on the PATH; undefined if there is none. */
export function findRedisServer(): string | undefined {
  return findRedisServers()[0];
}

/** The path in `REDIS_SERVER`, otherwise those of `redis-server` and `valkey-server` on the PATH. */
export function findRedisServers(): string[] {
  const chosen = Deno.env.get("REDIS_SERVER");
  if (chosen) return [chosen];
  return NAMES.map(findProgram).filter((path) => path !== undefined);
}

/**
 * Finds a server program that is new enough. If there is none, and root runs this on Debian or Ubuntu, installs one.
 *
 * @param say Receives a message before a slow step.
 * @returns The path of the program.
 * @throws {Error} If there is none; the message says how to get one.
 */
export async function findOrInstallRedisServer(say: (text: string) => void, signal?: AbortSignal): Promise<string> {
  let path = findRedisServer();
  if (path === undefined && canInstall()) {
    say("installing redis-server with apt-get … ");
    await installPackage("redis-server", ADVICE, signal);
    path = findRedisServer();
  }
  if (path === undefined) throw new Error(ADVICE);
  await assertRecent(path);
  return path;
}

/**
 * Checks that a server program is new enough.
 *
 * @returns Its name and version.
 * @throws {Error} If it is too old, or does not start.
 */
export async function assertRecent(path: string): Promise<ServerVersion> {
  const found = await versionOf(path);
  const oldest = OLDEST[found.name];
  if (Number.parseFloat(found.version) >= Number(oldest)) return found;
  throw new Error(
    `Cannot test with ${path}: it is ${found.name} ${found.version}; version ${oldest} or later is needed.\n${ADVICE}`,
  );
}

/** The name and version of a server program. */
export interface ServerVersion {
  readonly name: keyof typeof OLDEST;
  /** As in `7.0.15`. */
  readonly version: string;
}

/** Permission flags for tests with this server. They replace the network and run permissions of deno.json. */
export function serverPermissions(server: string | undefined): string[] {
  const url = URL.parse(Deno.env.get("REDIS_URL") ?? "");
  const hosts = ["127.0.0.1", "localhost", ...(url ? [`${url.hostname}:${url.port || 6379}`] : [])];
  const programs = server === undefined ? [] : [server, server.replace(/server([^/\\]*)$/, "cli$1")];
  // As root, tests mount a small disk, to fill it.
  const disks = Deno.build.os === "linux" && Deno.uid() === 0 ? ["mount", "umount"] : [];
  return [
    `--allow-net=${hosts.join()}`,
    `--allow-run=${
      [Deno.execPath(), "openssl", "python3", "npm", "npx", ...disks, ...prometheusPrograms(), ...programs].join()
    }`,
  ];
}

const ADVICE = `Cannot find a Redis server for the tests: neither redis-server nor valkey-server is on the PATH.
  Debian, Ubuntu    sudo apt-get install redis-server     (as root the tests do this themselves)
  macOS             brew install redis
  elsewhere         set REDIS_SERVER to the path of the program, as in REDIS_SERVER=/opt/redis/bin/redis-server
A server that is already running, such as that of \`docker compose up -d redis\`, is not enough, because tests kill their
servers. If REDIS_URL=redis://127.0.0.1:6379 is set too, the tests that kill no server use that one, with their own keys.`;

/** Reads the name and version from a text such as `Redis server v=7.0.15 sha=…`. */
async function versionOf(path: string): Promise<ServerVersion> {
  try {
    const { stdout } = await new Deno.Command(path, { args: ["--version"], stdin: "null" }).output();
    const text = new TextDecoder().decode(stdout).trim();
    const version = /\bv=(\S+)/.exec(text)?.[1] ?? `of an unknown version ("${text.split("\n")[0]}")`;
    return { name: text.startsWith("Valkey") ? "Valkey" : "Redis", version };
  } catch (cause) {
    throw new Error(`Cannot start ${path}: it was found by REDIS_SERVER or the PATH, but does not run\n${ADVICE}`, {
      cause,
    });
  }
}
