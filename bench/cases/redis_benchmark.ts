import { findServer } from "../../tests/redis/_server.ts";
import type { Case } from "../_case.ts";
import { detailsOf, STREAM } from "../_detail.ts";
import { type Shape, size } from "./publish.ts";

/** `redis-benchmark` with XADD of the same two fields, over one connection, with the pipeline sizes that suit it best. */
export function redisBenchmarkCases(shape: Shape, bytes: number, count: number = shape.count): Case[] {
  return (shape.name === "one at a time" ? [1] : shape.name === "50 in flight" ? [16, 64] : [64]).map((pipeline) => ({
    group: `publish ${size(bytes)}, ${shape.name}`,
    name: `redis-benchmark -P ${pipeline}`,
    note: "a process of its own, in C, with the same bytes each time: no client library, no JSON, no ids",
    count,
    setup: ({ redis }, count) => {
      const payload = JSON.stringify(detailsOf(bytes)(0));
      const command = ["XADD", STREAM, "*", "id", crypto.randomUUID(), "payload", payload];
      const program = findServer().replace(/server([^/\\]*)$/, "benchmark$1");
      const args = [
        "-p",
        new URL(redis).port,
        "-c",
        "1",
        "-P",
        String(pipeline),
        "-n",
        String(count),
        "--csv",
        ...command,
      ];
      return Promise.resolve({
        run: async () => {
          const { success, stdout, stderr } = await new Deno.Command(program, { args }).output();
          const text = new TextDecoder().decode(success ? stdout : stderr);
          const perSecond = Number(text.trim().split("\n").at(-1)?.match(/","([\d.]+)"/)?.[1]);
          if (!(perSecond > 0)) throw new Error(`Cannot read the output of ${program}: ${text}`);
          return { perSecond };
        },
        close: () => Promise.resolve(),
      });
    },
  }));
}
