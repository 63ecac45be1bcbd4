import type { RedisOptions } from "../../redis_options.ts";
import { StoreError } from "../../store/mod.ts";
import { checkDurability } from "./_durability.ts";
import type { RedisConnection } from "./client.ts";
import { parseInfo } from "./_replies.ts";

const OLDEST_REDIS = [7, 0] as const;
const OLDEST_VALKEY = [7, 2] as const;

/** The result of checking a server. */
export interface StartUp {
  /** Settings of the server that may lose events, as texts for the broker's warnings. */
  readonly warnings: readonly string[];
  /** Whether it is a node of a Redis Cluster. */
  readonly cluster: boolean;
}

/**
 * Checks by INFO, which most users have permission for, whether a server can be used.
 *
 * @throws {TypeError} If it is too old, or may remove whole streams when its memory runs out.
 * @throws {StoreError} `"transient"` if it is a replica now.
 */
export async function checkServer(
  connection: Pick<RedisConnection, "send">,
  { allowEviction = false, durability }: RedisOptions,
): Promise<StartUp> {
  const info = parseInfo(await connection.send(["INFO"]));
  checkVersion(info);
  const cluster = info.get("cluster_enabled") === "1";
  // A replica in a cluster can be used, because it redirects commands to the primaries.
  if (!cluster && info.get("role") === "slave") {
    throw new StoreError("transient", "it is a replica; connect to its master, or to its Sentinels if it has any");
  }
  const policy = info.get("maxmemory_policy") ?? "";
  if (policy.startsWith("allkeys-") && !allowEviction) {
    throw new TypeError(
      `Cannot use a Redis whose maxmemory-policy is ${policy}: it would silently remove whole streams when its memory ` +
        `runs out; set it to noeviction, or accept the loss with redis: { allowEviction: true }`,
    );
  }
  const keepsFile = info.get("aof_enabled") !== "0";
  if (durability !== undefined) await checkDurability(connection, durability, keepsFile);
  const warnings: string[] = [];
  if (policy.startsWith("allkeys-")) {
    warnings.push(`maxmemory-policy is ${policy}: the server removes whole streams when its memory runs out`);
  }
  if (!keepsFile) {
    warnings.push(
      "appendonly is off: when the server stops, events since its last snapshot are lost; set appendonly to yes",
    );
  }
  return { warnings, cluster };
}

/** Rejects servers on which the scripts would fail later. */
function checkVersion(info: ReadonlyMap<string, string>): void {
  // Valkey replies with a `redis_version` too, for compatibility.
  const valkey = info.get("valkey_version");
  const version = valkey ?? info.get("redis_version");
  const [major = 0, minor = 0] = (version ?? "").split(".").map(Number);
  const [oldestMajor, oldestMinor] = valkey === undefined ? OLDEST_REDIS : OLDEST_VALKEY;
  if (major > oldestMajor || major === oldestMajor && minor >= oldestMinor) return;
  throw new TypeError(
    `Cannot use a ${valkey === undefined ? "Redis" : "Valkey"} of version ${version ?? "unknown"}: Redis ${
      OLDEST_REDIS.join(".")
    } or Valkey ${OLDEST_VALKEY.join(".")} is needed; upgrade the server`,
  );
}
