import { unknownGroup } from "../../store/_groups.ts";
import { assertControlSize } from "../../store/_shared_state.ts";
import type { SharedState, SharedText } from "../../store/mod.ts";
import { groupKeys, keyList } from "../_keys.ts";
import type { Write } from "../connection/_durability.ts";
import type { Route } from "../connection/_topology.ts";
import type { Reply } from "../connection/client.ts";
import { readControl } from "../consuming/_control.ts";
import type { Waker } from "../consuming/_waker.ts";
import { WRITE_CONTROL } from "../scripts/operating/write_control.ts";

/** The surroundings of a control. */
export interface ControlContext {
  readonly link: Route;
  readonly stream: string;
  readonly waker: Waker;
  /** Runs a script, and waits until its changes are as durable as configured. */
  readonly write: Write;
  /** The names of the groups of the stream. */
  groups(): Promise<string[]>;
}

/** The control of a group in Redis. */
export class RedisControl implements SharedState {
  #context: ControlContext;
  #group: string;

  constructor(context: ControlContext, group: string) {
    this.#context = context;
    this.#group = group;
  }

  async read(): Promise<SharedText> {
    const { link, stream } = this.#context;
    await this.#assertThere();
    return await readControl(link, groupKeys(stream, this.#group).meta);
  }

  async write(text: string | undefined, version: number): Promise<boolean> {
    const { stream, waker, write } = this.#context;
    assertControlSize(stream, this.#group, text);
    await this.#assertThere();
    const args = [this.#group, "", "", String(version), ...(text === undefined ? [] : [text])];
    const reply = await write(WRITE_CONTROL, keyList(groupKeys(stream, this.#group)), args);
    const [wrote, connections] = reply as readonly [number, Reply];
    waker.wake(connections);
    return wrote === 1;
  }

  async #assertThere(): Promise<void> {
    const names = await this.#context.groups();
    if (!names.includes(this.#group)) throw unknownGroup(this.#group, this.#context.stream, names);
  }
}
