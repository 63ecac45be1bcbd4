import { EventEmitter } from "node:events";
import type { Detail } from "../_detail.ts";
import { load } from "./_packages.ts";
import type { System } from "./_system.ts";

interface Emitter {
  on(listener: (json: string) => void): void;
  emit(json: string): void;
}

const MAKERS: Readonly<Record<string, () => Emitter | Promise<Emitter>>> = {
  "JSON round trip": () => {
    let listener: (json: string) => void = () => {};
    return { on: (added) => void (listener = added), emit: (json) => listener(json) };
  },
  "EventEmitter": () => {
    const emitter = new EventEmitter();
    return {
      on: (listener) => void emitter.on("measured", listener),
      emit: (json) => void emitter.emit("measured", json),
    };
  },
  "EventTarget": () => {
    const target = new EventTarget();
    return {
      on: (listener) => target.addEventListener("measured", (event) => listener((event as CustomEvent<string>).detail)),
      emit: (json) => void target.dispatchEvent(new CustomEvent("measured", { detail: json })),
    };
  },
  "mitt": async () => {
    const emitter = (await load("mitt")).default();
    return { on: (listener) => emitter.on("measured", listener), emit: (json) => emitter.emit("measured", json) };
  },
};

const DONE = Promise.resolve();

/** Emitters that pass events on in the same process and store none. JSON isolates the sender from the receiver. */
export const emitterSystems: readonly System[] = Object.entries(MAKERS).map(([name, make]) => {
  const emitters = new Map<string, Emitter>();
  return {
    name,
    note: "nothing is stored or acknowledged",
    consumer: async ({ run }, { handler }) => {
      const emitter = await make();
      emitters.set(run, emitter);
      emitter.on((json) => void handler(JSON.parse(json) as Detail));
      return { close: () => Promise.resolve(void emitters.delete(run)) };
    },
    publisher: ({ run }) => {
      const emitter = emitters.get(run)!;
      return Promise.resolve({
        send: (detail) => {
          emitter.emit(JSON.stringify(detail));
          return DONE;
        },
        close: () => DONE,
      });
    },
  };
});
