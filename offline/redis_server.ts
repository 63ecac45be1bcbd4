/**
 * The Redis server that tests start on free ports of their own: finds one, or installs one where that is possible.
 *
 * @module
 */
import { delimiter, join } from "node:path";

const NAMES = ["redis-server", "valkey-server"];
const OLDEST = { Redis: "7.0", Valkey: "7.2" };

/** What `REDIS_SERVER` names, else `redis-server` or `valkey-server` on the PATH. */
export function findRedisServer(): string | undefined {
  return findRedisServers()[0];
}

/** What `REDIS_SERVER` names, else the `redis-server` and the `valkey-server` on the PATH. */
export function findRedisServers(): string[] {
  const told = Deno.env.get("REDIS_SERVER");
  if (told) return [told];
  const directories = (Deno.env.get("PATH") ?? "").split(delimiter).filter(Boolean);
  const paths = NAMES.map((name) => directories.map((directory) => join(directory, name)).find(isFile));
  return paths.filter((path) => path !== undefined);
}

/**
 * Finds a server that is new enough; where there is none, root on Debian and its like installs one.
 *
 * @param say Told what takes a while.
 * @returns Its path.
 * @throws {Error} If there is none; it says how to get one.
 */
export async function bringRedisServer(say: (text: string) => void, signal?: AbortSignal): Promise<string> {
  let path = findRedisServer();
  if (path === undefined && Deno.build.os === "linux" && Deno.uid() === 0 && isOnPath("apt-get")) {
    say("installs redis-server by apt-get … ");
    await install(signal);
    path = findRedisServer();
  }
  if (path === undefined) throw new Error(ADVICE);
  await assertRecent(path);
  return path;
}

/**
 * Sees to it that a server is new enough.
 *
 * @returns Which one it is.
 * @throws {Error} If it is too old, or does not start.
 */
export async function assertRecent(path: string): Promise<ServerVersion> {
  const found = await versionOf(path);
  const oldest = OLDEST[found.name];
  if (Number.parseFloat(found.version) >= Number(oldest)) return found;
  throw new Error(
    `Cannot test with ${path}: it is ${found.name} ${found.version}, ${oldest} or later is needed.\n${ADVICE}`,
  );
}

/** What a server says that it is. */
export interface ServerVersion {
  readonly name: keyof typeof OLDEST;
  /** As in `7.0.15`. */
  readonly version: string;
}

/** What tests with this server have to be allowed, instead of the network and the programs that deno.json names. */
export function serverPermissions(server: string | undefined): string[] {
  const url = URL.parse(Deno.env.get("REDIS_URL") ?? "");
  const hosts = ["127.0.0.1", "localhost", ...(url ? [`${url.hostname}:${url.port || 6379}`] : [])];
  const programs = server === undefined ? [] : [server, server.replace(/server([^/\\]*)$/, "cli$1")];
  // Root may make disks that are full at once.
  const disks = Deno.build.os === "linux" && Deno.uid() === 0 ? ["mount", "umount"] : [];
  return [
    `--allow-net=${hosts.join()}`,
    `--allow-run=${[Deno.execPath(), "openssl", "python3", ...disks, ...programs].join()}`,
  ];
}

const ADVICE = `Cannot bring a Redis server for the tests: neither redis-server nor valkey-server is on the PATH.
  Debian, Ubuntu    sudo apt-get install redis-server     (as root the tests do this by themselves)
  macOS             brew install redis
  elsewhere         name the program in REDIS_SERVER, as in REDIS_SERVER=/opt/redis/bin/redis-server
A server that only listens, such as that of \`docker compose up -d redis\`, is not enough: tests kill theirs. With
REDIS_URL=redis://127.0.0.1:6379 besides, the tests that need not do so use it, by keys of their own.`;

// The package would start its server, on the port that a developer may want for another one.
const POLICY = "/usr/sbin/policy-rc.d";

async function install(signal: AbortSignal | undefined): Promise<void> {
  const ours = !isFile(POLICY);
  // The way in which Debian asks whether a package may start what it brings.
  if (ours) {
    await Deno.writeTextFile(POLICY, "#!/bin/sh\n# For one installation only: may be removed.\nexit 101\n", {
      mode: 0o755,
    });
  }
  try {
    await apt(["update"], signal);
    await apt(["install", "--yes", "--no-install-recommends", "redis-server"], signal);
  } finally {
    if (ours) await Deno.remove(POLICY);
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
  const said = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes)).join("").trim();
  throw new Error(`Cannot install a Redis server: apt-get ${args[0]} failed\n${said}\n${ADVICE}`);
}

/** Of `Redis server v=7.0.15 sha=…`. */
async function versionOf(path: string): Promise<ServerVersion> {
  try {
    const { stdout } = await new Deno.Command(path, { args: ["--version"], stdin: "null" }).output();
    const text = new TextDecoder().decode(stdout).trim();
    const version = /\bv=(\S+)/.exec(text)?.[1] ?? `of an unknown version ("${text.split("\n")[0]}")`;
    return { name: text.startsWith("Valkey") ? "Valkey" : "Redis", version };
  } catch (cause) {
    throw new Error(`Cannot start ${path}, which REDIS_SERVER or the PATH names\n${ADVICE}`, { cause });
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
