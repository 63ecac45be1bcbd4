// One trace follows an event through two processes, as Deno's own exporter sends it to an OTLP receiver. Without a
// receiver, events are handled all the same.

import { assertEquals } from "@std/assert";
import { fileURLToPath } from "node:url";
import { connect, defineEvent } from "@tidings/broker";
import { inheritedImportFlags } from "../../offline/imports.ts";
import { freePort } from "../redis/_free_port.ts";
import { assertOneTrace } from "./_one_trace.ts";
import { OtlpReceiver } from "./_otlp_receiver.ts";

class Ended extends defineEvent("Ended")<{ price: number }> {}
class Paid extends defineEvent("Paid")<{ amount: number }> {}

const child = fileURLToPath(new URL("_otlp_child.ts", import.meta.url));

/** Runs a service of the tests to its end; its handler fetches a page of the receiver. */
async function run(role: string, file: string, receiver: OtlpReceiver, endpoint = receiver.url): Promise<void> {
  const { code, stderr } = await new Deno.Command("deno", {
    args: ["run", "-A", ...inheritedImportFlags(), child, role, `sqlite:${file}`, `${receiver.url}/page`],
    env: {
      OTEL_DENO: "true",
      OTEL_SERVICE_NAME: role,
      OTEL_EXPORTER_OTLP_ENDPOINT: endpoint,
      OTEL_EXPORTER_OTLP_PROTOCOL: "http/json",
    },
    stdin: "null",
    stdout: "null",
  }).output();
  assertEquals([code, new TextDecoder().decode(stderr)], [0, ""]);
}

Deno.test("instrument() with OTEL_DENO: one trace through two processes, with what the handler calls", async () => {
  const folder = await Deno.makeTempDir({ prefix: "tidings-" });
  try {
    await using receiver = new OtlpReceiver();
    const file = `${folder}/events.db`;
    await run("publish", file, receiver);
    await run("handle", file, receiver);
    assertOneTrace(receiver);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

for (const endpoint of [`http://127.0.0.1:${freePort()}`, "http://collector.invalid:4318", "no address"]) {
  const name = endpoint.startsWith("http://127") ? "where nothing listens" : endpoint;
  Deno.test(`instrument() with OTEL_DENO: events are handled although the exporter is at ${name}`, async () => {
    const folder = await Deno.makeTempDir({ prefix: "tidings-" });
    try {
      await using receiver = new OtlpReceiver();
      for (const role of ["publish", "handle"]) await run(role, `${folder}/events.db`, receiver, endpoint);
      assertEquals(receiver.spans, []);
      await using broker = await connect(`sqlite:${folder}/events.db`, { events: [Ended, Paid] });
      const [{ groups: [group] }, { length }] = [await broker.info(Ended), await broker.info(Paid)];
      assertEquals([group?.lag, group?.pending, length], [0, 0, 1]);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  });
}
