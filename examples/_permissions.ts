/**
 * The Deno permissions that an example needs for its broker.
 *
 * Imports no package, because it runs before packages are resolved.
 *
 * @module
 */
import { dirname } from "node:path";

/** Flags for a broker's URL: for the server's address, or for the directory of the file, which may not exist yet. */
export function brokerPermissions(url: string): string[] {
  const [, scheme, rest = ""] = /^([\w+-]+):(.*)$/s.exec(url) ?? [];
  if (scheme === "sqlite") return filePermissions(dirname(rest.replace(/[?#].*$/, "")));
  // The other nodes of a cluster, and the master that Sentinels watch, have addresses that the URL does not name.
  if (/^rediss?[+-](cluster|sentinel)$/.test(scheme ?? "")) return ["--allow-net"];
  if (scheme !== "redis" && scheme !== "rediss") return [];
  const { hostname, port } = URL.parse(url) ?? {};
  // A comma would allow two hosts. Without a valid host, connecting fails with a clear error and needs no permission.
  return hostname && !hostname.includes(",") ? [`--allow-net=${hostname}:${port || 6379}`] : [];
}

/** Flags for reading and writing in a directory. */
export function filePermissions(directory: string): string[] {
  return [`--allow-read=${directory}`, `--allow-write=${directory}`];
}

/** Flags for the address that an example listens on. */
export function listenPermissions(hostname: string, port: string): string[] {
  return /^[\w.:[\]-]+$/.test(hostname) && /^\d+$/.test(port) ? [`--allow-net=${hostname}:${port}`] : [];
}

/** The value of a flag such as `--broker=URL` or `--broker URL`; undefined without the flag. The last one counts. */
export function flagValue(args: readonly string[], flag: string): string | undefined {
  const at = args.findLastIndex((arg) => arg === `--${flag}` || arg.startsWith(`--${flag}=`));
  const arg = args[at];
  return arg === undefined ? undefined : arg === `--${flag}` ? args[at + 1] ?? "" : arg.slice(flag.length + 3);
}
