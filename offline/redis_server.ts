/**
 * Finds the Redis server program that tests start on free ports, or installs one if that is possible.
 *
 * @module
 */
import { delimiter, join } from "node:path";

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
  const directories = (Deno.env.get("PATH") ?? "").split(delimiter).filter(Boolean);
  const paths = NAMES.map((name) => directories.map((directory) => join(directory, name)).find(isFile));
  return paths.filter((path) => path !== undefined);
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
  if (path === undefined && Deno.build.os === "linux" && Deno.uid() === 0 && isOnPath("apt-get")) {
    say("installing redis-server with apt-get … ");
    await install(signal);
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
    `--allow-run=${[Deno.execPath(), "openssl", "python3", "npm", "npx", ...disks, ...programs].join()}`,
  ];
}

const ADVICE = `Cannot find a Redis server for the tests: neither redis-server nor valkey-server is on the PATH.
  Debian, Ubuntu    sudo apt-get install redis-server     (as root the tests do this themselves)
  macOS             brew install redis
  elsewhere         set REDIS_SERVER to the path of the program, as in REDIS_SERVER=/opt/redis/bin/redis-server
A server that is already running, such as that of \`docker compose up -d redis\`, is not enough, because tests kill their
servers. If REDIS_URL=redis://127.0.0.1:6379 is set too, the tests that kill no server use that one, with their own keys.`;

// Debian asks this file whether a package may start its server. The server would take a port that may be needed for another.
const POLICY = "/usr/sbin/policy-rc.d";

async function install(signal: AbortSignal | undefined): Promise<void> {
  const isOurs = !isFile(POLICY);
  if (isOurs) {
    await Deno.writeTextFile(POLICY, "#!/bin/sh\n# Needed during one installation only; may be removed.\nexit 101\n", {
      mode: 0o755,
    });
  }
  try {
    await apt(["update"], signal);
    await apt(["install", "--yes", "--no-install-recommends", "redis-server"], signal);
  } finally {
    if (isOurs) await Deno.remove(POLICY);
  }
}

async function apt(args: readonly string[], signal: AbortSignal | undefined): Promise<void> {
  const { success, stdout, stderr } = await new Deno.Command("apt-get", {
    args: ["-q", "-o", "DPkg::Lock::Timeout=120", ...args],
    env: { DEBIAN_FRONTEND: "noninteractive" },
    stdin: "null",
    ...(signal && { signal }),
  }).output();
  if (success) return;
  const output = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes)).join("").trim();
  throw new Error(`Cannot install a Redis server: apt-get ${args[0]} failed\n${output}\n${ADVICE}`);
}

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

function isOnPath(name: string): boolean {
  return (Deno.env.get("PATH") ?? "").split(delimiter).some((directory) => isFile(join(directory, name)));
}

function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}
