import { cpus, totalmem } from "node:os";
import { findServer } from "../tests/redis/_server.ts";
import { LOCK } from "./_imports.ts";

/** The machine and the versions that the figures depend on. */
export interface Machine {
  readonly date: string;
  readonly processor: string;
  readonly memory: string;
  readonly versions: Readonly<Record<string, string>>;
}

/** Packages whose versions are shown if the lock file has them. */
const PACKAGES = ["redis", "ioredis", "bullmq", "moleculer", "@moleculer/channels", "mitt"];

/** Describes this machine, and the versions of the packages that are compared. */
export async function machine(): Promise<Machine> {
  const [first] = cpus();
  const { stdout } = await new Deno.Command(findServer(), { args: ["--version"] }).output();
  const redis = /\bv=(\S+)/.exec(new TextDecoder().decode(stdout))?.[1] ?? "unknown";
  return {
    date: new Date().toISOString().slice(0, 10),
    processor: `${cpus().length} × ${first?.model ?? "unknown"}`,
    memory: `${Math.round(totalmem() / 2 ** 30)} GiB`,
    versions: { deno: Deno.version.deno, "redis-server": redis, ...packageVersions() },
  };
}

function packageVersions(): Record<string, string> {
  const { specifiers } = JSON.parse(Deno.readTextFileSync(LOCK));
  const found = Object.entries(specifiers as Record<string, string>).flatMap(([specifier, version]) => {
    const name = /^npm:(.+)@[^@]+$/.exec(specifier)?.[1];
    return name !== undefined && PACKAGES.includes(name) ? [[name, version.split("_")[0]!]] : [];
  });
  return Object.fromEntries(found);
}
