/**
 * Downloads Redis and Valkey of a later Debian release than this machine's. The packages are verified with the Debian keys
 * of this machine, and unpacked with their libraries into a folder of the user's cache. Nothing is installed into the system.
 *
 * @module
 */
import { delimiter, join } from "node:path";

const MIRROR = "http://deb.debian.org/debian";
const KEYS = ["debian-archive-keyring.pgp", "debian-archive-keyring.gpg"].map((name) => `/usr/share/keyrings/${name}`);
const PACKAGES = ["redis-server", "redis-tools", "valkey-server", "valkey-tools"];
const PROGRAMS = ["redis-server", "redis-cli", "valkey-server", "valkey-cli"];
// Dependencies that the servers load. Other dependencies create users and start services.
const LIBRARY = /^(lib|lua-)/;

/** Options of {@linkcode downloadDebianServers}. */
export interface DownloadOptions {
  /** The Debian release, such as `trixie`. */
  readonly release: string;
  /** Whether to download the servers again if they are in the cache. */
  readonly fresh: boolean;
  /** Receives a message before a slow step. */
  readonly say: (text: string) => void;
}

/** The reason why this machine cannot download servers from Debian; undefined if it can. */
export function debianObstacle(): string | undefined {
  const missing = ["apt-get", "apt-cache", "dpkg"].filter((name) => !isOnPath(name));
  if (missing.length > 0) return `there is no ${missing.join(", ")}`;
  return KEYS.some(exists) ? undefined : `there is no ${KEYS.at(-1)}`;
}

/**
 * Finds the servers in the cache, or downloads them into the cache.
 *
 * @returns The paths of redis-server and valkey-server. Each has its command-line client in the same folder.
 * @throws {Error} If a program of Debian fails; the message has its output.
 */
export async function downloadDebianServers({ release, fresh, say }: DownloadOptions): Promise<string[]> {
  const folder = join(cacheFolder(), `debian-${release}-${Deno.build.arch}`);
  const servers = PROGRAMS.filter((name) => name.endsWith("-server")).map((name) => join(folder, "bin", name));
  if (!fresh && servers.every(exists)) return servers;
  say(`downloading servers of Debian ${release} into ${folder}`);
  await Deno.mkdir(cacheFolder(), { recursive: true });
  // The folder gets its final name only when it is complete.
  const work = await Deno.makeTempDir({ dir: cacheFolder(), prefix: "new-" });
  try {
    await unpack(work, release);
    await wrap(work);
    if (exists(folder)) await Deno.remove(folder, { recursive: true });
    await Deno.rename(join(work, "unpacked"), folder);
  } finally {
    await Deno.remove(work, { recursive: true });
  }
  return servers;
}

function cacheFolder(): string {
  const home = Deno.env.get("HOME");
  const cache = Deno.env.get("XDG_CACHE_HOME") || (home === undefined ? undefined : join(home, ".cache"));
  return cache === undefined ? join(Deno.cwd(), ".tidings", "servers") : join(cache, "tidings", "servers");
}

async function unpack(work: string, release: string): Promise<void> {
  const apt = await aptFor(work, release);
  await apt("apt-get", "update");
  const packages = await withLibraries(PACKAGES, async (names) => await apt("apt-cache", "show", ...names));
  const debs = join(work, "debs");
  await Deno.mkdir(debs);
  await apt("apt-get", "download", ...packages);
  for (const { name } of Deno.readDirSync(debs)) await run("dpkg", ["-x", join(debs, name), join(work, "unpacked")]);
}

/** Returns a function that runs apt programs for that release only, with all their files under `work`. */
async function aptFor(
  work: string,
  release: string,
): Promise<(program: string, ...args: string[]) => Promise<string>> {
  await Deno.mkdir(join(work, "lists", "partial"), { recursive: true });
  await Deno.mkdir(join(work, "archives", "partial"), { recursive: true });
  await Deno.writeTextFile(join(work, "status"), "");
  const list = join(work, "sources.list");
  await Deno.writeTextFile(list, `deb [signed-by=${KEYS.find(exists)}] ${MIRROR} ${release} main\n`);
  const settings = {
    "Dir::State::lists": join(work, "lists"),
    "Dir::State::status": join(work, "status"),
    "Dir::Cache": work,
    "Dir::Etc::sourcelist": list,
    "Dir::Etc::sourceparts": "/dev/null",
    "Dir::Etc::preferences": "/dev/null",
    "Dir::Etc::preferencesparts": "/dev/null",
    "Acquire::Languages": "none",
    // When root runs apt, apt changes to another user, who may not read the folder.
    "APT::Sandbox::User": "root",
  };
  const options = Object.entries(settings).flatMap(([name, value]) => ["-o", `${name}=${value}`]);
  return (program, ...args) =>
    run(program, ["-q", ...options, ...args], args[0] === "download" ? join(work, "debs") : work);
}

/** The packages, the libraries that they need, and the libraries of those. */
async function withLibraries(
  packages: readonly string[],
  show: (names: readonly string[]) => Promise<string>,
): Promise<string[]> {
  // Some names of dependencies are virtual: a package with another name provides them. Only real names are returned.
  const [all, real] = [new Set(packages), new Set<string>()];
  for (let names = [...packages]; names.length > 0;) {
    const shown = await show(names);
    for (const [, name] of shown.matchAll(/^Package: (.*)$/gm)) real.add(name!);
    const needed = [...shown.matchAll(/^(?:Pre-)?Depends: (.*)$/gm)].flatMap(([, list]) => list!.split(","));
    // Of alternative dependencies apt itself chooses the first.
    const found = needed.map((choice) => /[\w.+-]+/.exec(choice)![0]).filter((name) => LIBRARY.test(name));
    names = [...new Set(found)].filter((name) => !all.has(name));
    for (const name of names) all.add(name);
  }
  return [...real];
}

/** Writes start scripts into one folder. They run the programs with the loader and the libraries of their own release only. */
async function wrap(work: string): Promise<void> {
  const root = join(work, "unpacked");
  let loader: string | undefined;
  const folders = new Set<string>();
  for (const { path, name, isFile } of filesUnder(root)) {
    if (isFile && /^ld-(linux.*\.so\.\d+|[\d.]+\.so)$/.test(name)) loader = path;
    if (/\.so(\.\d+)+$/.test(name)) folders.add(path.slice(0, -name.length - 1));
  }
  if (loader === undefined) {
    throw new Error(`Cannot run programs of another Debian: libc6 of ${MIRROR} has no ld-linux`);
  }
  const inside = (path: string) => `$root${path.slice(root.length)}`;
  const libraries = [...folders].map(inside).join(":");
  await Deno.mkdir(join(root, "bin"), { recursive: true });
  for (const name of PROGRAMS) {
    const start = `exec "${inside(loader)}" --library-path "${libraries}" "$root/usr/bin/${name}" "$@"`;
    await Deno.writeTextFile(join(root, "bin", name), `#!/bin/sh\nroot=\${0%/*}/..\n${start}\n`, { mode: 0o755 });
  }
}

function* filesUnder(folder: string): Generator<{ path: string; name: string; isFile: boolean }> {
  for (const { name, isFile, isDirectory } of Deno.readDirSync(folder)) {
    const path = join(folder, name);
    if (isDirectory) yield* filesUnder(path);
    else yield { path, name, isFile };
  }
}

async function run(program: string, args: readonly string[], cwd?: string): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(program, {
    args: [...args],
    ...(cwd !== undefined && { cwd }),
    env: { LC_ALL: "C", DEBIAN_FRONTEND: "noninteractive" },
    stdin: "null",
  }).output();
  const [output, errors] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
  if (success) return output!;
  throw new Error(`Cannot download servers from ${MIRROR}: ${program} failed\n${`${output}${errors}`.trim()}`);
}

function isOnPath(name: string): boolean {
  return (Deno.env.get("PATH") ?? "").split(delimiter).some((directory) => exists(join(directory, name)));
}

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}
