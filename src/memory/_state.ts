import { assertTextSize, nextVersion } from "../store/_shared_state.ts";
import type { SharedState, SharedText } from "../store/mod.ts";

/** A shared text in memory. */
export class MemoryState implements SharedState {
  #stream: string;
  #name: string;
  #now: () => number;
  #text: string | undefined;
  #version = 0;

  constructor(stream: string, name: string, now: () => number) {
    this.#stream = stream;
    this.#name = name;
    this.#now = now;
  }

  read(): Promise<SharedText> {
    return Promise.resolve({ text: this.#text, version: this.#version, now: this.#now() });
  }

  // deno-lint-ignore require-await -- async turns thrown errors into rejections
  async write(text: string | undefined, version: number): Promise<boolean> {
    assertTextSize(this.#stream, this.#name, text);
    if (version !== this.#version) return false;
    this.#text = text;
    this.#version = nextVersion(version, this.#now());
    return true;
  }
}
