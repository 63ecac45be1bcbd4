import { parseInfo } from "../src/redis/connection/_replies.ts";
import { RedisServer } from "../tests/redis/_server.ts";
import type { Place } from "./_case.ts";
import { openRaw, type RawConnection } from "./systems/_raw_clients.ts";

/** The Redis server of the bench and its folder, with a connection for commands outside the measured work. */
export class BenchServer implements AsyncDisposable {
  #server: RedisServer;
  #control: RawConnection;
  #runs = 0;

  private constructor(server: RedisServer, control: RawConnection) {
    this.#server = server;
    this.#control = control;
  }

  static async start(): Promise<BenchServer> {
    const server = await RedisServer.start();
    return new BenchServer(server, await openRaw("node-redis", server.url.href));
  }

  /** Waits until the connections of earlier runs are closed, removes their data, and returns the place of the next run. */
  async clear(): Promise<Place> {
    for (const deadline = Date.now() + 2_000; Date.now() < deadline;) {
      if ((await this.info("clients")).get("connected_clients") === "1") break;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    await this.#control.send(["FLUSHALL"]);
    const { url, folder } = this.#server;
    for (const { name } of Deno.readDirSync(folder)) {
      if (name.startsWith("run-")) await Deno.remove(`${folder}/${name}`);
    }
    return { redis: url.href, folder, run: `run-${++this.#runs}` };
  }

  /** Figures of `INFO section`, by their names. */
  async info(section: string): Promise<Map<string, string>> {
    return parseInfo(await this.#control.send(["INFO", section]));
  }

  /** Processor time that the server has used, in microseconds. */
  async cpu(): Promise<number> {
    const info = await this.info("cpu");
    return (Number(info.get("used_cpu_user")) + Number(info.get("used_cpu_sys"))) * 1e6;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#control.close();
    await this.#server[Symbol.asyncDispose]();
  }
}
