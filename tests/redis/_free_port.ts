import { dirname, join } from "node:path";

// Below the ports that systems give to outgoing connections: such a connection could take the port of a server that is
// about to start, or to start again.
const [FIRST, LAST] = [10_000, 32_000];
/** After this many ms the port of an earlier run may be used again. */
const RESERVED_FOR = 600_000;

let folder: string | undefined;

/**
 * A free port that no other test gets, in whatever process it runs: Redis takes some of its ports by number only, such
 * as that for TLS, and another server could start on one that is merely free at the moment.
 *
 * @throws {Error} If no port is free.
 */
export function freePort(): number {
  const count = LAST - FIRST;
  const start = Math.floor(Math.random() * count);
  for (let tried = 0; tried < count; tried++) {
    const port = FIRST + (start + tried) % count;
    if (reserve(port) && isFree(port)) return port;
  }
  throw new Error(`Cannot find a free port: all from ${FIRST} to ${LAST} are taken`);
}

/** Reserves a port by a file, which only one process can create. */
function reserve(port: number): boolean {
  folder ??= reservations();
  const file = join(folder, String(port));
  try {
    Deno.openSync(file, { write: true, createNew: true }).close();
    return true;
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
  }
  const { mtime } = Deno.statSync(file);
  if (mtime !== null && Date.now() - mtime.getTime() < RESERVED_FOR) return false;
  Deno.writeTextFileSync(file, "");
  return true;
}

/** One folder for all processes, beside their other temporary files. */
function reservations(): string {
  const temporary = Deno.makeTempDirSync({ prefix: "tidings-" });
  Deno.removeSync(temporary);
  const path = join(dirname(temporary), "tidings-ports");
  Deno.mkdirSync(path, { recursive: true });
  return path;
}

function isFree(port: number): boolean {
  try {
    Deno.listen({ hostname: "127.0.0.1", port }).close();
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.AddrInUse) return false;
    throw error;
  }
}
