import { assertTextSize } from "../../store/_shared_state.ts";
import type { SharedState, SharedText } from "../../store/mod.ts";
import { stateKey } from "../_keys.ts";
import type { Write } from "../connection/_durability.ts";
import type { Route } from "../connection/_topology.ts";
import { READ_STATE } from "../scripts/operating/read_state.ts";
import { WRITE_STATE } from "../scripts/operating/write_state.ts";

/** A shared text in Redis. */
export class RedisState implements SharedState {
  #link: Route;
  #write: Write;
  #stream: string;
  #name: string;

  /** @param write Runs a script, and waits until its changes are as durable as configured. */
  constructor(link: Route, write: Write, stream: string, name: string) {
    this.#link = link;
    this.#write = write;
    this.#stream = stream;
    this.#name = name;
  }

  async read(): Promise<SharedText> {
    const reply = await READ_STATE.run(this.#link, [stateKey(this.#stream, this.#name)], []);
    const [version, now, text] = reply as readonly [number, number, string?];
    return { text, version, now };
  }

  async write(text: string | undefined, version: number): Promise<boolean> {
    assertTextSize(this.#stream, this.#name, text);
    const args = text === undefined ? [String(version)] : [String(version), text];
    return await this.#write(WRITE_STATE, [stateKey(this.#stream, this.#name)], args) === 1;
  }
}
