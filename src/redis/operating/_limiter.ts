import type { Limiter, RateLimit, Taken, TakeOptions } from "../../store/mod.ts";
import { limitKey } from "../_keys.ts";
import type { Route } from "../connection/_topology.ts";
import { RESERVE } from "../scripts/operating/reserve.ts";

/** A limiter in Redis. */
export class RedisLimiter implements Limiter {
  #link: Route;
  #stream: string;
  #name: string;

  constructor(link: Route, stream: string, name: string) {
    this.#link = link;
    this.#stream = stream;
    this.#name = name;
  }

  async take({ limit, per, burst = 1 }: RateLimit, { count, ahead, key = "" }: TakeOptions): Promise<Taken> {
    const interval = per * 1_000 / limit;
    const args = [interval, (burst - 1) * interval, count, ahead * 1_000].map(String);
    const reply = await RESERVE.run(this.#link, [limitKey(this.#stream, this.#name, key)], args) as readonly number[];
    const [next, ...delays] = reply.map((micros) => micros / 1_000);
    return { delays, next: next! };
  }
}
