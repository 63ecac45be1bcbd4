/** A fault of one connection. */
export type Fault =
  /** Forwards the request, and cuts the connection instead of forwarding the reply. */
  | "reply"
  /** Forwards half of the request, and cuts the connection. */
  | "half"
  /** Swallows all bytes from here on, in both directions, and keeps the connection open. */
  | "swallow"
  /** Closes the direction to the client, and still forwards its requests. */
  | "half-close";

/** A fault, and the request that it happens to: the first one that fits all conditions. */
export interface Rule {
  readonly fault: Fault;
  /** The number of the connection, from 1. @default {any} */
  readonly connection?: number;
  /** Matches the bytes of the request, read as Latin-1. @default {any} */
  readonly request?: RegExp;
  /** How often it happens. @default {1} */
  readonly times?: number;
}

/** Forwards bytes between clients and a server, with the faults of a network. */
export class Proxy implements AsyncDisposable {
  readonly port: number;
  /** How many connections it has accepted. */
  connections = 0;
  /** How many faults have happened. */
  faults = 0;
  /** Whether it closes each new connection at once. */
  refuse = false;
  /** By how many milliseconds it delays each chunk, in both directions. */
  delay = 0;
  /** Whether it accepts new connections and swallows all their bytes, like a broken firewall. */
  blackHole = false;
  #target: { readonly hostname: string; readonly port: number };
  #listener: Deno.TcpListener;
  #rules: { rule: Rule; left: number }[] = [];
  #open = new Set<Deno.TcpConn>();
  #states = new Set<{ fault: Fault | undefined }>();
  #running = new Set<Promise<void>>();

  constructor(port: number, hostname = "127.0.0.1") {
    this.#target = { hostname, port };
    this.#listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    this.port = (this.#listener.addr as Deno.NetAddr).port;
    this.#track(this.#accept());
  }

  get url(): URL {
    return new URL(`redis://127.0.0.1:${this.port}`);
  }

  /** How many connections from clients are open. */
  get open(): number {
    return this.#open.size / 2;
  }

  /** Adds a fault for later requests. */
  inject(rule: Rule): void {
    this.#rules.push({ rule, left: rule.times ?? 1 });
  }

  /** Removes the faults that have not happened yet. */
  forget(): void {
    this.#rules = [];
  }

  /** Cuts all connections. */
  cut(): void {
    for (const connection of this.#open) close(connection);
  }

  /** Has all open connections swallow all bytes from now on; new ones work, unless `blackHole` is set. */
  swallow(): void {
    for (const state of this.#states) state.fault = "swallow";
  }

  #track(work: Promise<void>): void {
    this.#running.add(work);
    void work.finally(() => this.#running.delete(work));
  }

  async #accept(): Promise<void> {
    try {
      for await (const client of this.#listener) this.#track(this.#serve(client, ++this.connections));
    } catch (error) {
      if (!(error instanceof Deno.errors.BadResource)) throw error;
    }
  }

  async #serve(client: Deno.TcpConn, number: number): Promise<void> {
    if (this.refuse) return close(client);
    let server: Deno.TcpConn;
    try {
      server = await Deno.connect(this.#target);
    } catch {
      // The client sees a connection that ends.
      return close(client);
    }
    this.#open.add(client).add(server);
    const state: { fault: Fault | undefined } = { fault: this.blackHole ? "swallow" : undefined };
    this.#states.add(state);
    await Promise.all([this.#forth(client, server, number, state), this.#back(client, server, state)]);
    close(client);
    close(server);
    this.#open.delete(client);
    this.#open.delete(server);
    this.#states.delete(state);
  }

  async #forth(client: Deno.TcpConn, server: Deno.TcpConn, number: number, state: { fault: Fault | undefined }) {
    for await (const bytes of chunks(client)) {
      await this.#wait();
      if (state.fault === "swallow") continue;
      state.fault ??= this.#faultFor(number, bytes);
      if (state.fault === "swallow") continue;
      // The client or the server may have closed the connection already.
      if (state.fault === "half-close") await client.closeWrite().catch(() => {});
      if (state.fault === "half") {
        await write(server, bytes.subarray(0, bytes.length >> 1));
        close(client);
        break;
      }
      await write(server, bytes);
    }
    close(server);
  }

  async #back(client: Deno.TcpConn, server: Deno.TcpConn, state: { fault: Fault | undefined }) {
    for await (const bytes of chunks(server)) {
      await this.#wait();
      if (state.fault === "reply") break;
      if (state.fault === undefined) await write(client, bytes);
    }
    // A silent link does not tell one end that the other one is gone.
    if (state.fault !== "swallow") close(client);
  }

  #faultFor(connection: number, bytes: Uint8Array): Fault | undefined {
    const text = new TextDecoder("latin1").decode(bytes);
    const found = this.#rules.find(({ rule, left }) =>
      left > 0 && (rule.connection ?? connection) === connection && (rule.request?.test(text) ?? true)
    );
    if (found === undefined) return undefined;
    found.left--;
    this.faults++;
    return found.rule.fault;
  }

  async #wait(): Promise<void> {
    if (this.delay > 0) await new Promise((resolve) => setTimeout(resolve, this.delay));
  }

  /** Cuts all connections, and resolves once all are closed. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    this.cut();
    await Promise.all(this.#running);
  }
}

async function* chunks(connection: Deno.TcpConn): AsyncGenerator<Uint8Array> {
  const buffer = new Uint8Array(65_536);
  while (true) {
    // A reset ends the connection like a regular end.
    const length = await connection.read(buffer).catch(() => null);
    if (length === null) return;
    yield buffer.slice(0, length);
  }
}

async function write(connection: Deno.TcpConn, bytes: Uint8Array): Promise<void> {
  try {
    for (let written = 0; written < bytes.length;) written += await connection.write(bytes.subarray(written));
  } catch {
    // The connection is closed; the reading direction notices too.
  }
}

function close(connection: Deno.TcpConn): void {
  try {
    connection.close();
  } catch {
    // It is closed already.
  }
}
