import { delimiter, join } from "node:path";
import { freePort } from "./_free_port.ts";

/**
 * The path of the Redis server: that in REDIS_SERVER, else `redis-server` or `valkey-server` on the PATH.
 *
 * @throws {Error} If there is none.
 */
export function findServer(): string {
  const told = Deno.env.get("REDIS_SERVER");
  if (told) return told;
  for (const name of ["redis-server", "valkey-server"]) {
    for (const directory of (Deno.env.get("PATH") ?? "").split(delimiter)) {
      const path = join(directory, name);
      try {
        if (Deno.statSync(path).isFile) return path;
      } catch {
        // It is not in this directory.
      }
    }
  }
  throw new Error(
    "Cannot test with Redis: neither redis-server nor valkey-server is on the PATH; install one " +
      "(as in `apt install redis-server` or `brew install redis`), or name it in REDIS_SERVER",
  );
}

/** A real server in a temporary folder, with an append-only file. */
export class RedisServer implements AsyncDisposable {
  readonly port: number;
  readonly folder: string;
  #options: readonly string[];
  #process: Deno.ChildProcess | undefined;

  private constructor(options: readonly string[]) {
    this.port = freePort();
    this.folder = Deno.makeTempDirSync({ prefix: "tidings-redis-" });
    this.#options = options;
  }

  /**
   * Starts a server on a free port, and resolves once it replies.
   *
   * @param options Further arguments of redis-server, such as `["--requirepass", "secret"]`.
   */
  static async start(options: readonly string[] = []): Promise<RedisServer> {
    for (let tries = 1;; tries++) {
      const server = new RedisServer(options);
      try {
        await server.restart();
        return server;
      } catch (error) {
        await server[Symbol.asyncDispose]();
        // Another process may have taken the port since it was found free.
        const taken = error instanceof Error && error.message.includes("Address already in use");
        if (!taken || tries === 3) throw error;
      }
    }
  }

  get url(): URL {
    return new URL(`redis://127.0.0.1:${this.port}`);
  }

  /** Starts the server again after it was killed, with the data of its append-only file. */
  async restart(): Promise<void> {
    const common = ["--port", String(this.port), "--bind", "127.0.0.1", "--dir", this.folder, "--save", ""];
    // A killed server loses no answered write with "no". With "everysec", it delays writes while the disk is busy, and a kill
    // loses those.
    const durable = ["--appendonly", "yes", "--appendfsync", "no", "--logfile", this.#logPath];
    // By default, the first copy for a replica waits five seconds for other replicas.
    const replication = ["--repl-diskless-sync-delay", "0"];
    const startsBefore = this.#starts();
    const started = new Deno.Command(findServer(), {
      args: [...common, ...durable, ...replication, ...this.#options],
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    this.#process = started;
    let ended = false;
    void started.status.then(() => ended = true);
    for (const deadline = Date.now() + 10_000;;) {
      // Another process may have taken the port and reply there, so this server's log must say too that it is ready.
      if (this.#starts() > startsBefore && await this.#replies()) return;
      if (ended || Date.now() > deadline) throw new Error(`Cannot start ${findServer()}:\n${this.#log()}`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  /** Absolute, since options may name another folder for its data. */
  get #logPath(): string {
    return join(this.folder, "log");
  }

  /** How often this server has become ready, by its log. */
  #starts(): number {
    return this.#log().split("Ready to accept connections").length - 1;
  }

  #log(): string {
    try {
      return Deno.readTextFileSync(this.#logPath);
    } catch {
      return "it wrote no log";
    }
  }

  // Any reply will do, also an error, except "LOADING".
  async #replies(): Promise<boolean> {
    try {
      using connection = await Deno.connect({ hostname: "127.0.0.1", port: this.port });
      await connection.write(new TextEncoder().encode("PING\r\n"));
      const buffer = new Uint8Array(64);
      const length = await connection.read(buffer);
      return length !== null && !new TextDecoder().decode(buffer.subarray(0, length)).includes("LOADING");
    } catch {
      return false;
    }
  }

  /** Runs a command by redis-cli, and returns its output without the last line break. */
  async cli(...args: readonly string[]): Promise<string> {
    const command = findServer().replace(/server([^/\\]*)$/, "cli$1");
    const { success, stdout, stderr } = await new Deno.Command(command, {
      args: ["-p", String(this.port), ...args],
    }).output();
    const text = new TextDecoder().decode(success ? stdout : stderr).trimEnd();
    if (!success) throw new Error(`Cannot run ${command} ${args.join(" ")}: ${text}`);
    return text;
  }

  /** How many clients wait in a blocking command. */
  async blockedClients(): Promise<number> {
    return Number(/blocked_clients:(\d+)/.exec(await this.cli("INFO", "clients"))![1]);
  }

  /** Kills the server by SIGKILL; {@linkcode restart} starts it again. */
  async kill(): Promise<void> {
    const process = this.#process;
    this.#process = undefined;
    if (process === undefined) return;
    try {
      process.kill("SIGKILL");
    } catch {
      // It has ended already.
    }
    await process.status;
  }

  /** Freezes the server by SIGSTOP. Its connections stay open. */
  pause(): void {
    this.#process?.kill("SIGSTOP");
  }

  /** Continues the server by SIGCONT. */
  resume(): void {
    this.#process?.kill("SIGCONT");
  }

  /** Kills the server and removes its folder. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    for (let tries = 1;; tries++) {
      try {
        return await Deno.remove(this.folder, { recursive: true });
      } catch (error) {
        // A child process of the server may still write a file there.
        if (tries === 50) throw error;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    }
  }
}
