import type { RedisConnection, Reply } from "../connection/client.ts";
import { isNoScript } from "../connection/_reply_error.ts";

/** A Lua script that runs on the server, by its digest where the server knows it. */
export class Script {
  readonly source: string;
  #suffix: "" | "_RO";
  #digest: string | undefined;

  /** @param options.readOnly It writes nothing, so that those may run it who may only read. @default {false} */
  constructor(source: string, { readOnly = false }: { readonly readOnly?: boolean } = {}) {
    this.source = source;
    this.#suffix = readOnly ? "_RO" : "";
  }

  /** Runs it: every key that it touches is among `keys`, so that a cluster can find the node. */
  async run(
    connection: Pick<RedisConnection, "send">,
    keys: readonly string[],
    args: readonly string[],
  ): Promise<Reply> {
    const rest = [String(keys.length), ...keys, ...args];
    try {
      return await connection.send([`EVALSHA${this.#suffix}`, this.#digest ??= await sha1(this.source), ...rest]);
    } catch (error) {
      // Nothing ran then, so that running it is safe; the server keeps it from now on.
      if (!isNoScript(error)) throw error;
      return await connection.send([`EVAL${this.#suffix}`, this.source, ...rest]);
    }
  }
}

async function sha1(text: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-1", new TextEncoder().encode(text));
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
