// Guarantees 15, 17, 19, 30, 39, 45, 46: partitions that move while processes and nodes of a cluster fail, for minutes.

import { openRedisStore } from "../../../src/redis/open.ts";
import { RedisCluster } from "../../redis/_cluster.ts";
import { ClusterFaults } from "./_cluster_faults.ts";
import { SECONDS, spread } from "./_run.ts";

const CLIENTS = ["@db/redis", "node-redis", "ioredis"] as const;

Deno.test("a cluster: partitions keep the order of each subject when processes and nodes fail, with all clients", async () => {
  const folder = await Deno.makeTempDir({ prefix: "tidings-spread-" });
  await using cluster = await RedisCluster.start({ replicas: true });
  await spread("Redis Cluster", SECONDS, {
    folder,
    // A failover must not lose that `repartition` has closed a partition.
    store: await openRedisStore(cluster.url, {
      client: "node-redis",
      redis: { durability: { replicas: 1, timeout: 500 } },
    }),
    failovers: true,
    slot: (at) => ({
      url: cluster.url,
      client: CLIENTS[at % CLIENTS.length]!,
      permissions: [
        "--allow-net=127.0.0.1",
        "--allow-env",
        "--allow-sys",
        `--allow-read=${folder}`,
        `--allow-write=${folder}`,
      ],
    }),
    faults: (storm, random) => new ClusterFaults(cluster, storm, random).faults,
  });
  await Deno.remove(folder, { recursive: true });
});
