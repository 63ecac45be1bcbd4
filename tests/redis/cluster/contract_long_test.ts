import { openRedisStore } from "../../../src/redis/open.ts";
import { testClusterContract } from "../_contract.ts";

testClusterContract("by URL with node-redis", (cluster) => openRedisStore(cluster.url, { client: "node-redis" }));
