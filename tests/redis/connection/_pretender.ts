/** A fake server that replies as a test says, for replies that no server here would give. */
export class Pretender implements AsyncDisposable {
  #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  #open = new Set<Deno.TcpConn>();
  #running: Promise<unknown>;

  constructor(reply: (request: string) => string | undefined) {
    this.#running = this.#listen(reply);
  }

  get url(): URL {
    return new URL(`redis://127.0.0.1:${(this.#listener.addr as Deno.NetAddr).port}`);
  }

  async #listen(reply: (request: string) => string | undefined): Promise<void> {
    const serving: Promise<void>[] = [];
    // Closing the listener ends the iteration with an error.
    await (async () => {
      for await (const connection of this.#listener) serving.push(this.#serve(connection, reply));
    })().catch(() => {});
    await Promise.all(serving);
  }

  async #serve(connection: Deno.TcpConn, reply: (request: string) => string | undefined): Promise<void> {
    this.#open.add(connection);
    const buffer = new Uint8Array(65_536);
    for (let length; (length = await connection.read(buffer).catch(() => null)) !== null;) {
      const requests = new TextDecoder().decode(buffer.subarray(0, length)).split(/(?=\*\d+\r\n)/);
      const replies = requests.map((request) => reply(request) ?? "+OK\r\n").join("");
      await connection.write(new TextEncoder().encode(replies)).catch(() => {});
    }
    if (this.#open.delete(connection)) connection.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    for (const connection of this.#open) connection.close();
    this.#open.clear();
    await this.#running;
  }
}
