import type {
  DeadLetterBox,
  GroupChange,
  Position,
  SharedState,
  StreamAdmin,
  StreamState,
  TrimOptions,
  TrimResult,
} from "../store/mod.ts";
import { assertAlterable, assertIdle, unknownGroup } from "../store/_groups.ts";
import { assertControlSize, nextVersion } from "../store/_shared_state.ts";
import type { MemoryGroup } from "./_group.ts";
import { MemoryLetterBox } from "./_letters.ts";
import type { MemoryStream } from "./_stream.ts";

/** The operations on one stream in memory. */
export class MemoryAdmin implements StreamAdmin {
  #stream: MemoryStream;

  constructor(stream: MemoryStream) {
    this.#stream = stream;
  }

  info(): Promise<StreamState> {
    const stream = this.#stream;
    return Promise.resolve({
      length: stream.end - stream.start,
      bytes: stream.bytes,
      first: stream.at(stream.start)?.position,
      last: stream.last,
      groups: [...stream.groups.values()].map((group) => group.state()),
    });
  }

  writeRefusal(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  trim(options: TrimOptions): Promise<TrimResult> {
    return Promise.resolve(this.#stream.trim(options));
  }

  // deno-lint-ignore require-await -- async turns thrown errors into rejections
  async rewind(
    name: string,
    to: "beginning" | "now" | Position,
  ): Promise<{ dropped: number; first: Position | undefined }> {
    return this.#find(name).rewind(to);
  }

  #find(name: string): MemoryGroup {
    const group = this.#stream.groups.get(name);
    if (group === undefined) throw unknownGroup(name, this.#stream.name, [...this.#stream.groups.keys()]);
    return group;
  }

  // deno-lint-ignore require-await -- async turns thrown errors into rejections
  async alterGroup(name: string, change: GroupChange): Promise<void> {
    const group = this.#find(name);
    assertAlterable(group.state(), this.#stream.name);
    group.alter(change);
  }

  // deno-lint-ignore require-await -- async turns thrown errors into rejections
  async removeGroup(name: string, { force = false }: { readonly force?: boolean } = {}): Promise<boolean> {
    const group = this.#stream.groups.get(name);
    if (group === undefined) return false;
    if (!force) assertIdle(group.state(), this.#stream.name);
    group.delete();
    this.#stream.groups.delete(name);
    this.#stream.wakeUp.wake();
    return true;
  }

  fence(layout: number): Promise<Position | undefined> {
    return Promise.resolve(this.#stream.fence(layout));
  }

  control(name: string): SharedState {
    const stream = this.#stream;
    return {
      // deno-lint-ignore require-await -- async turns thrown errors into rejections
      read: async () => ({ ...this.#find(name).control, now: stream.now() }),
      // deno-lint-ignore require-await -- async turns thrown errors into rejections
      write: async (text, version) => {
        assertControlSize(stream.name, name, text);
        const group = this.#find(name);
        if (version !== group.control.version) return false;
        group.control = { text, version: nextVersion(version, stream.now()) };
        stream.wakeUp.wake();
        return true;
      },
    };
  }

  deadLetters(name: string): DeadLetterBox {
    return new MemoryLetterBox(this.#stream, name);
  }
}
