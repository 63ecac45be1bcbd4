import { delimiter, join } from "node:path";
import { freePort } from "./_free_port.ts";

/**
 * Where the Redis server is: what REDIS_SERVER names, else `redis-server` or `valkey-server` on the path.
 *
 * @throws {Error} If there is none; it says what to do.
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
        // Not in this directory: the next one.
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
   * Starts one on a free port, and resolves once it answers.
   *
   * @param options Further arguments of redis-server, as in `["--requirepass", "secret"]`.
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

  /** Starts it again after it was killed, with what its append-only file holds. */
  async restart(): Promise<void> {
    const common = ["--port", String(this.port), "--bind", "127.0.0.1", "--dir", this.folder, "--save", ""];
    // What was written survives the server, if not the machine. By "everysec" a write is put off while the disk is busy,
    // and a kill loses what was answered meanwhile.
    const durable = ["--appendonly", "yes", "--appendfsync", "no", "--logfile", this.#logPath];
    // Otherwise a replica waits five seconds for others that might want a copy at the same time.
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
      // Another process may have taken the port meanwhile, and answers there: our own server says in its log that it is
      // ready.
      if (this.#starts() > startsBefore && await this.#answers()) return;
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

  // Whatever it answers, an error included, but for "LOADING": then it is not ready yet.
  async #answers(): Promise<boolean> {
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

  /** Runs a command by redis-cli, and returns what it prints, without the last line break. */
  async cli(...args: readonly string[]): Promise<string> {
    const command = findServer().replace(/server([^/\\]*)$/, "cli$1");
    const { success, stdout, stderr } = await new Deno.Command(command, {
      args: ["-p", String(this.port), ...args],
    }).output();
    const text = new TextDecoder().decode(success ? stdout : stderr).trimEnd();
    if (!success) throw new Error(`Cannot run ${command} ${args.join(" ")}: ${text}`);
    return text;
  }

  /** Kills it as by `kill -9`; {@linkcode restart} starts it again. */
  async kill(): Promise<void> {
    const process = this.#process;
    this.#process = undefined;
    if (process === undefined) return;
    try {
      process.kill("SIGKILL");
    } catch {
      // It ended before.
    }
    await process.status;
  }

  /** Stops it without closing anything, as a machine does that is overloaded. */
  pause(): void {
    this.#process?.kill("SIGSTOP");
  }

  /** Lets it go on. */
  resume(): void {
    this.#process?.kill("SIGCONT");
  }

  /** Kills it and removes its folder. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    for (let tries = 1;; tries++) {
      try {
        return await Deno.remove(this.folder, { recursive: true });
      } catch (error) {
        // A child that was writing a file outlives the server for a moment.
        if (tries === 50) throw error;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    }
  }
}
