/**
 * What Deno has to allow for a broker: whoever starts an example gives it this and no more.
 *
 * Imports nothing but what every runtime has, since it is needed before any package is there.
 *
 * @module
 */
import { dirname } from "node:path";

/** Flags for the broker of a URL: one address of the network, or the directory of a file, which may have to be made. */
export function brokerPermissions(url: string): string[] {
  const [, scheme, rest = ""] = /^(\w+):(.*)$/s.exec(url) ?? [];
  if (scheme === "sqlite") return filePermissions(dirname(rest.replace(/[?#].*$/, "")));
  if (scheme !== "redis" && scheme !== "rediss") return [];
  const { hostname, port } = URL.parse(url) ?? {};
  // Without a host connecting says what is wrong, and needs no permission for it.
  // A comma would allow two.
  return hostname && !hostname.includes(",") ? [`--allow-net=${hostname}:${port || 6379}`] : [];
}

/** Flags for reading and writing in a directory. */
export function filePermissions(directory: string): string[] {
  return [`--allow-read=${directory}`, `--allow-write=${directory}`];
}
