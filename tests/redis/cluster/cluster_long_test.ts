import { Cluster } from "ioredis";
import { createCluster } from "redis";
import { openRedisStore } from "../../../src/redis/open.ts";
import type { RedisCluster } from "../_cluster.ts";
import { testClusterContract } from "../_contract.ts";

const placesOf = ({ masters }: RedisCluster) => masters.map(({ port }) => ({ host: "127.0.0.1", port }));

testClusterContract("by URL with ioredis", (cluster) => openRedisStore(cluster.url, { client: "ioredis" }));

testClusterContract(
  "by a client of node-redis",
  (cluster) => openRedisStore(createCluster({ rootNodes: placesOf(cluster).map((socket) => ({ socket })) })),
);

testClusterContract("by a client of ioredis", async (cluster) => {
  const client = new Cluster(placesOf(cluster), { lazyConnect: true });
  try {
    return await openRedisStore(client);
  } finally {
    client.disconnect();
  }
});
