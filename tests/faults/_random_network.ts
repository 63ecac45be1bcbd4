import { type Fault, Proxy } from "../redis/_proxy.ts";
import { sleep } from "../../src/testing/_broker_bench.ts";
import type { Chance } from "./_seed.ts";

const FAULTS: readonly Fault[] = ["reply", "half", "half-close"];
const REQUESTS = [/EVALSHA/, /XREADGROUP/, /XREADGROUP[^]*BLOCK/, /CLIENT/];

/** Links to a server that fail at random moments and in random ways. */
export class RandomNetwork implements AsyncDisposable {
  /** The faults so far, to explain a failure. */
  readonly log: string[] = [];
  readonly links: readonly Proxy[];
  #chance: Chance;

  constructor(port: number, links: number, chance: Chance) {
    this.links = Array.from({ length: links }, () => new Proxy(port));
    this.#chance = chance;
  }

  /** Injects one fault into one link, and ends it. */
  async strike(): Promise<void> {
    const chance = this.#chance;
    const index = chance.between(0, this.links.length - 1);
    const link = this.links[index]!;
    await sleep(chance.between(0, 120));
    const way = chance.between(0, 4);
    const ms = chance.between(50, 250);
    if (way === 0) {
      this.log.push(`${index} is cut`);
      link.cut();
    } else if (way === 1) {
      this.log.push(`${index} is slow for ${ms} ms`);
      link.delay = chance.between(1, 30);
      await sleep(ms);
      link.delay = 0;
    } else if (way === 2) {
      this.log.push(`${index} refuses connections for ${ms} ms`);
      link.refuse = true;
      link.cut();
      await sleep(ms);
      link.refuse = false;
    } else {
      const fault = chance.pick(FAULTS);
      const request = chance.pick(REQUESTS);
      this.log.push(`${index} does ${fault} to the next ${request}`);
      link.inject({ fault, request });
    }
  }

  /** The open connections of one link swallow all bytes from now on; new connections work. */
  swallow(): void {
    const index = this.#chance.between(0, this.links.length - 1);
    this.log.push(`${index} swallows`);
    this.links[index]!.swallow();
  }

  /** Ends all faults, and closes all connections, of which some may be silent. */
  heal(): void {
    for (const link of this.links) {
      link.forget();
      link.cut();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.links.map((link) => link[Symbol.asyncDispose]()));
  }
}
