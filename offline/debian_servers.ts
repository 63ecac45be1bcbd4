/**
 * Redis and Valkey of a later Debian than this one: downloaded, checked by the keys that Debian has installed here, and
 * unpacked into a folder of the user's cache with the libraries that they need. Nothing is installed into the system.
 *
 * @module
 */
import { delimiter, join } from "node:path";

const MIRROR = "http://deb.debian.org/debian";
const KEYS = ["debian-archive-keyring.pgp", "debian-archive-keyring.gpg"].map((name) => `/usr/share/keyrings/${name}`);
const PACKAGES = ["redis-server", "redis-tools", "valkey-server", "valkey-tools"];
const PROGRAMS = ["redis-server", "redis-cli", "valkey-server", "valkey-cli"];
// Of what the servers depend on only this is loaded by them; the rest makes users and starts services.
const LIBRARY = /^(lib|lua-)/;

/** How to bring them. */
export interface BringOptions {
  /** The release of Debian. */
  readonly release: string;
  /** Whether to download them again where they are in the cache. */
  readonly fresh: boolean;
  /** Told what takes a while. */
  readonly say: (text: string) => void;
}

/** Why nothing can be brought from Debian on this machine; undefined where it can. */
export function debianObstacle(): string | undefined {
  const missing = ["apt-get", "apt-cache", "dpkg"].filter((name) => !isOnPath(name));
  if (missing.length > 0) return `there is no ${missing.join(", ")}`;
  return KEYS.some(exists) ? undefined : `there is no ${KEYS.at(-1)}`;
}

/**
 * Finds the servers in the cache, or brings them there.
 *
 * @returns The paths of redis-server and valkey-server, each with its client beside it.
 * @throws {Error} If a program of Debian fails; with what it said.
 */
export async function bringDebianServers({ release, fresh, say }: BringOptions): Promise<string[]> {
  const folder = join(cacheFolder(), `debian-${release}-${Deno.build.arch}`);
  const servers = PROGRAMS.filter((name) => name.endsWith("-server")).map((name) => join(folder, "bin", name));
  if (!fresh && servers.every(exists)) return servers;
  say(`downloads servers of Debian ${release} into ${folder}`);
  await Deno.mkdir(cacheFolder(), { recursive: true });
  // It has its name only once all of it is there.
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
  const apt = await foreignApt(work, release);
  await apt("apt-get", "update");
  const packages = await withLibraries(PACKAGES, async (names) => await apt("apt-cache", "show", ...names));
  const debs = join(work, "debs");
  await Deno.mkdir(debs);
  await apt("apt-get", "download", ...packages);
  for (const { name } of Deno.readDirSync(debs)) await run("dpkg", ["-x", join(debs, name), join(work, "unpacked")]);
}

/** Runs programs of apt that know that release alone, and keep what they learn in a folder of their own. */
async function foreignApt(
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
    // The user that apt becomes where root runs it may not read the folder.
    "APT::Sandbox::User": "root",
  };
  const options = Object.entries(settings).flatMap(([name, value]) => ["-o", `${name}=${value}`]);
  return (program, ...args) =>
    run(program, ["-q", ...options, ...args], args[0] === "download" ? join(work, "debs") : work);
}

/** The packages with all libraries that they need, and those that these need. */
async function withLibraries(
  packages: readonly string[],
  show: (names: readonly string[]) => Promise<string>,
): Promise<string[]> {
  // Some names stand for a package that is called otherwise by now: no package says that it has them.
  const [all, real] = [new Set(packages), new Set<string>()];
  for (let names = [...packages]; names.length > 0;) {
    const said = await show(names);
    for (const [, name] of said.matchAll(/^Package: (.*)$/gm)) real.add(name!);
    const needed = [...said.matchAll(/^(?:Pre-)?Depends: (.*)$/gm)].flatMap(([, list]) => list!.split(","));
    // The first of several that would do, as apt itself chooses.
    const found = needed.map((choice) => /[\w.+-]+/.exec(choice)![0]).filter((name) => LIBRARY.test(name));
    names = [...new Set(found)].filter((name) => !all.has(name));
    for (const name of names) all.add(name);
  }
  return [...real];
}

/** Puts programs beside each other that run with the loader and the libraries of their own release, and no others. */
async function wrap(work: string): Promise<void> {
  const root = join(work, "unpacked");
  let loader: string | undefined;
  const folders = new Set<string>();
  for (const { path, name, isFile } of filesUnder(root)) {
    if (isFile && /^ld-(linux.*\.so\.\d+|[\d.]+\.so)$/.test(name)) loader = path;
    if (/\.so(\.\d+)+$/.test(name)) folders.add(path.slice(0, -name.length - 1));
  }
  if (loader === undefined) throw new Error(`Cannot run programs of another Debian: no ld-linux in ${MIRROR}'s libc6`);
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
  const [said, complained] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
  if (success) return said!;
  throw new Error(`Cannot bring servers from ${MIRROR}: ${program} failed\n${`${said}${complained}`.trim()}`);
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
