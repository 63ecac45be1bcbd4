import { RedisServer } from "../redis/_server.ts";
import { redisData } from "./_data.ts";
import { testProcesses } from "./process_suite.ts";

testProcesses("Redis", async () => redisData(await RedisServer.start()));
