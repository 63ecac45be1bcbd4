import { join } from "node:path";
import { eventually } from "./_cluster.ts";
import { freePort } from "./_free_port.ts";
import { findServer, RedisServer } from "./_server.ts";

// Periods of the Sentinels in milliseconds, shorter than by default: otherwise they find a replica after ten seconds, and
// demote a master that came back after eight.
const PERIODS = ["info-period", "500", "publish-period", "500", "tilt-period", "2000"];

/** A master with replicas, and three Sentinels that watch them. */
export class WatchedServers implements AsyncDisposable {
  readonly name = "mymaster";
  /** The first one is the master at the start. */
  readonly servers: readonly RedisServer[];
  #sentinels: Sentinel[] = [];

  private constructor(servers: readonly RedisServer[]) {
    this.servers = servers;
  }

  /**
   * Starts all servers, and resolves once the Sentinels know each other and the replicas.
   *
   * @param options.replicas The number of replicas. @default {1}
   * @param options.downAfter After how many milliseconds a silent server counts as lost. @default {1_000}
   * @param options.args Further arguments of redis-server.
   * @param options.password The password of the Sentinels.
   */
  static async start(
    { replicas = 1, downAfter = 1_000, args = [], password }: {
      replicas?: number;
      downAfter?: number;
      args?: readonly string[];
      password?: string;
    } = {},
  ): Promise<WatchedServers> {
    const servers = await Promise.all(Array.from({ length: 1 + replicas }, () => RedisServer.start(args)));
    const watched = new WatchedServers(servers);
    try {
      const [master, ...others] = servers;
      for (const replica of others) {
        await replica.cli("REPLICAOF", "127.0.0.1", String(master!.port));
        await eventually(async () => /master_link_status:up/.test(await replica.cli("INFO", "replication")));
      }
      watched.#sentinels = [1, 2, 3].map(() => new Sentinel(watched.name, master!.port, downAfter, password));
      for (const sentinel of watched.#sentinels) {
        await eventually(async () => (await sentinel.cli("SENTINEL", "DEBUG", ...PERIODS)).startsWith("OK"));
      }
      for (const sentinel of watched.#sentinels) {
        await eventually(async () => {
          const state = await sentinel.cli("SENTINEL", "MASTER", watched.name);
          return /num-other-sentinels\n2\n/.test(state) && state.includes(`num-slaves\n${replicas}\n`);
        });
      }
      return watched;
    } catch (error) {
      await watched[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** The ports of the Sentinels. */
  get ports(): number[] {
    return this.#sentinels.map(({ port }) => port);
  }

  get url(): string {
    return `redis+sentinel://${this.ports.map((port) => `127.0.0.1:${port}`).join(",")}/${this.name}`;
  }

  /** The current master, according to the Sentinels. */
  async master(): Promise<RedisServer | undefined> {
    const reply = await this.#sentinels[0]!.cli("SENTINEL", "GET-MASTER-ADDR-BY-NAME", this.name);
    return this.servers.find(({ port }) => port === Number(reply.split("\n")[1]));
  }

  /** Waits until the Sentinels have promoted another server, and returns it. */
  async promoted(before: RedisServer): Promise<RedisServer> {
    let now: RedisServer | undefined;
    await eventually(async () => (now = await this.master()) !== undefined && now !== before);
    return now!;
  }

  /** Waits until a replica is connected to the master, and in sync. */
  async follows(replica: RedisServer, master: RedisServer): Promise<void> {
    await eventually(async () => {
      const info = await replica.cli("INFO", "replication");
      return info.includes("role:slave") && info.includes(`master_port:${master.port}\r\n`) &&
        info.includes("master_link_status:up");
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#sentinels.map((sentinel) => sentinel.end()));
    await Promise.all(this.servers.map((server) => server[Symbol.asyncDispose]()));
  }
}

class Sentinel {
  readonly port = freePort();
  #folder = Deno.makeTempDirSync({ prefix: "tidings-sentinel-" });
  #process: Deno.ChildProcess;

  #password: string | undefined;

  constructor(name: string, master: number, downAfter: number, password?: string) {
    this.#password = password;
    const file = join(this.#folder, "sentinel.conf");
    // A Sentinel stores its state in its configuration file.
    Deno.writeTextFileSync(
      file,
      [
        `port ${this.port}`,
        "bind 127.0.0.1",
        `dir ${this.#folder}`,
        `sentinel monitor ${name} 127.0.0.1 ${master} 2`,
        `sentinel down-after-milliseconds ${name} ${downAfter}`,
        `sentinel failover-timeout ${name} 3000`,
        ...(password === undefined ? [] : [`requirepass ${password}`, `sentinel sentinel-pass ${password}`]),
      ].join("\n"),
    );
    const options = { stdin: "null", stdout: "null", stderr: "null" } as const;
    this.#process = new Deno.Command(findServer(), { args: [file, "--sentinel"], ...options }).spawn();
  }

  async cli(...args: readonly string[]): Promise<string> {
    const command = findServer().replace(/server([^/\\]*)$/, "cli$1");
    const { success, stdout, stderr } = await new Deno.Command(command, {
      args: ["-p", String(this.port), ...(this.#password ? ["--no-auth-warning", "-a", this.#password] : []), ...args],
    }).output();
    const text = new TextDecoder().decode(success ? stdout : stderr);
    if (!success) throw new Error(`Cannot ask a Sentinel: ${text}`);
    return text;
  }

  async end(): Promise<void> {
    this.#process.kill("SIGKILL");
    await this.#process.status;
    await Deno.remove(this.#folder, { recursive: true });
  }
}
