// One trace follows an event through two processes of Node, as OpenTelemetry's SDK sends it to an OTLP receiver. Needs npm.

import { assertEquals } from "@std/assert";
import { fileURLToPath } from "node:url";
import { inheritedImportFlags } from "../../offline/imports.ts";
import { freePort } from "../redis/_free_port.ts";
import { assertOneTrace } from "./_one_trace.ts";
import { OtlpReceiver } from "./_otlp_receiver.ts";

const child = fileURLToPath(new URL("_otlp_child.ts", import.meta.url));
const PACKAGES = [
  "@opentelemetry/api@1.9",
  "@opentelemetry/sdk-node@0.223",
  "@opentelemetry/exporter-trace-otlp-http@0.223",
  "@opentelemetry/exporter-metrics-otlp-http@0.223",
  "@opentelemetry/instrumentation-undici@0.33",
];
async function run(command: string, args: readonly string[], options: Deno.CommandOptions): Promise<void> {
  const { code, stdout, stderr } = await new Deno.Command(command, { args: [...args], stdin: "null", ...options })
    .output();
  const text = new TextDecoder();
  assertEquals(code, 0, `${command} ${args.join(" ")}\n${text.decode(stdout)}\n${text.decode(stderr)}`);
}

Deno.test("instrument() with an SDK on Node: one trace through two processes, and no harm without a receiver", async () => {
  const folder = await Deno.makeTempDir({ prefix: "tidings-" });
  try {
    await using receiver = new OtlpReceiver();
    const bundle = ["bundle", "--quiet", "--external=@opentelemetry/api", "-o", `${folder}/child.mjs`];
    await run(Deno.execPath(), [...bundle, ...inheritedImportFlags(), child], {});
    await Deno.copyFile(new URL("_otlp_node.txt", import.meta.url), `${folder}/main.mjs`);
    await Deno.writeTextFile(`${folder}/package.json`, JSON.stringify({ private: true, type: "module" }));
    await run("npm", ["install", "--no-fund", "--no-audit", ...PACKAGES], { cwd: folder });
    const play = async (role: string, file: string, endpoint: string) => {
      const args = [
        "--yes",
        "-p",
        "node@22",
        "node",
        "main.mjs",
        role,
        `sqlite:${folder}/${file}`,
        `${receiver.url}/page`,
      ];
      await run("npx", args, {
        cwd: folder,
        env: { OTEL_SERVICE_NAME: role, OTEL_EXPORTER_OTLP_ENDPOINT: endpoint },
      });
    };
    for (const role of ["publish", "handle"]) await play(role, "events.db", receiver.url);
    assertOneTrace(receiver);
    // Nothing listens there, and the services do their work all the same.
    const nowhere = `http://127.0.0.1:${freePort()}`;
    for (const role of ["publish", "handle"]) await play(role, "unseen.db", nowhere);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
