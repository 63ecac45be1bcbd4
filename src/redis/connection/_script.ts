import type { RedisConnection, Reply } from "./client.ts";
import { isNoScript } from "./_reply_error.ts";

/** A Lua script for the server. It is sent by its digest, and in full if the server does not have it. */
export class Script {
  readonly source: string;
  #suffix: "" | "_RO";
  #digest: string | undefined;

  /** @param options.readOnly The script writes nothing, so users who may only read can run it. @default {false} */
  constructor(source: string, { readOnly = false }: { readonly readOnly?: boolean } = {}) {
    this.source = source;
    this.#suffix = readOnly ? "_RO" : "";
  }

  /** Runs the script. Each key that it uses is among `keys`: a cluster finds the node by them. */
  async run(
    connection: Pick<RedisConnection, "send">,
    keys: readonly string[],
    args: readonly string[],
  ): Promise<Reply> {
    const rest = [String(keys.length), ...keys, ...args];
    try {
      return await connection.send([`EVALSHA${this.#suffix}`, this.#digest ??= await sha1(this.source), ...rest]);
    } catch (error) {
      // The server ran nothing, so this runs the script once. The server keeps the script from now on.
      if (!isNoScript(error)) throw error;
      return await connection.send([`EVAL${this.#suffix}`, this.source, ...rest]);
    }
  }
}

async function sha1(text: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-1", new TextEncoder().encode(text));
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
