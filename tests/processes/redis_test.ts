import { RedisServer } from "../redis/_server.ts";
import { type SharedData, testProcesses } from "./process_suite.ts";

async function open(): Promise<SharedData> {
  const server = await RedisServer.start();
  const { host } = server.url;
  return {
    url: server.url.href,
    // The client of Deno needs the net alone; a stand-in for it may look at its environment.
    permissions: [`--allow-net=${host}`, "--allow-env", "--allow-sys"],
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

testProcesses("Redis", open);
