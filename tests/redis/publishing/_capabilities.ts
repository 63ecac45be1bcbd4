import { RedisServer } from "../_server.ts";

/** Whether the server that the tests start has a command. */
export async function knowsCommand(name: string): Promise<boolean> {
  await using server = await RedisServer.start();
  return (await server.cli("COMMAND", "INFO", name)).split("\n")[0] === name.toLowerCase();
}
