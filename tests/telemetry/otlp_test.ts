// One trace follows an event through two processes, as Deno's own exporter sends it to an OTLP receiver.

import { assertEquals } from "@std/assert";
import { fileURLToPath } from "node:url";
import { inheritedImportFlags } from "../../offline/imports.ts";
import { assertOneTrace } from "./_one_trace.ts";
import { OtlpReceiver } from "./_otlp_receiver.ts";

const child = fileURLToPath(new URL("_otlp_child.ts", import.meta.url));

async function run(role: string, file: string, receiver: OtlpReceiver): Promise<void> {
  const { code, stderr } = await new Deno.Command("deno", {
    args: ["run", "-A", ...inheritedImportFlags(), child, role, `sqlite:${file}`, `${receiver.url}/page`],
    env: {
      OTEL_DENO: "true",
      OTEL_SERVICE_NAME: role,
      OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url,
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
