import { assert, assertEquals, assertLess, assertMatch, assertStringIncludes } from "@std/assert";
import { fileURLToPath } from "node:url";
import { until as waitUntil } from "../../src/testing/_broker_bench.ts";
import { inheritedImportFlags } from "../../offline/imports.ts";
import { freePort } from "../redis/_free_port.ts";
import { OtlpReceiver } from "../telemetry/_otlp_receiver.ts";
import { rest, start, tooLong, until } from "./_example.ts";

const README = Deno.readTextFileSync(new URL("../../examples/observed/README.md", import.meta.url));
/** Metrics that appear only after what they count has happened: it takes minutes, or the death of a process. */
const LATER = ["tidings_events_trimmed_total", "tidings_events_recovered_total"];
/** The other metrics that the README names. */
const METRICS = [...new Set([...README.matchAll(/`((?:tidings|messaging|auction)_\w+)`/g)].map(([, name]) => name!))]
  .filter((name) => !LATER.includes(name));

/** How long the example may take to end after Ctrl-C, in milliseconds. It gives up after 1,500. */
const ENDS_WITHIN = 10_000;

/** The sum of a metric over all its labels, in the text for Prometheus. */
function total(metrics: string, name: string): number {
  const samples = metrics.matchAll(new RegExp(`^${name}(?:\\{.*\\})? (\\S+)$`, "gm"));
  return samples.reduce((sum, [, value]) => sum + Number(value), 0);
}

async function get(url: string): Promise<{ status: number; text: string }> {
  const response = await fetch(url);
  return { status: response.status, text: await response.text() };
}

/** Ends the example by Ctrl-C. @returns The rest of its output. */
async function interrupt(child: Deno.ChildProcess, stdout: ReadableStreamDefaultReader<Uint8Array>): Promise<string> {
  const interruptedAt = performance.now();
  child.kill("SIGINT");
  const said = await rest(stdout);
  const { code } = await child.status;
  assertEquals([code, await new Response(child.stderr).text()], [0, ""]);
  assertLess(performance.now() - interruptedAt, ENDS_WITHIN);
  return said;
}

// Windows cannot send Ctrl-C to a process.
const ignore = Deno.build.os === "windows";

for (const store of ["memory", "SQLite"]) {
  Deno.test(`observed on ${store}: metrics, health and traces, until Ctrl-C`, { ignore }, async () => {
    const directory = await Deno.makeTempDir({ prefix: "tidings-" });
    try {
      const broker = store === "memory" ? "memory:" : `sqlite:${directory}/auction.db`;
      const child = start("observed", [`--broker=${broker}`, "--port=0", "--rate=20"], directory);
      const stdout = child.stdout.getReader();
      let said = await until(stdout, "Ctrl-C ends it");
      const [, url] = said.match(/(http:\S+)\/metrics/) ?? [];
      assert(url !== undefined);

      assertEquals(await get(`${url}/livez`), { status: 200, text: "live\n" });
      assertEquals(await get(`${url}/readyz`), { status: 200, text: "ready\n" });
      const moving = ["published", "handled", "failed", "retried", "dead_lettered"];
      await waitUntil(async () => {
        const { text } = await get(`${url}/metrics`);
        return moving.every((name) => total(text, `tidings_events_${name}_total`) > 0);
      }, "all totals move");
      const { text } = await get(`${url}/metrics`);
      assertEquals(total(text, "tidings_broker_ready"), 1);
      assertEquals(METRICS.filter((name) => !new RegExp(`^${name}(_count)?[ {]`, "m").test(text)), []);
      assertEquals((await get(`${url}/`)).status, 404);
      assertEquals((await get(`${url}/card-company/down`)).status, 404, "GET changes nothing");

      said += await until(stdout, "A trace with a dead letter");
      said += await interrupt(child, stdout);
      assertMatch(said, /process AuctionEnded by payment [^]+\n {8}charge card [^]+\n {8}send PaymentProcessed/);
      assertEquals(tooLong(said).filter((line) => !line.includes(broker)), []);
      assert(!said.includes("tok_") && !said.includes("\x1b"));
    } finally {
      await Deno.remove(directory, { recursive: true });
    }
  });
}

Deno.test(
  "observed: payment fails while the card company is down, and works again after that",
  { ignore },
  async () => {
    const child = start("observed", ["--broker=memory:", "--port=0", "--rate=20"]);
    const stdout = child.stdout.getReader();
    const [, url] = (await until(stdout, "Ctrl-C ends it")).match(/(http:\S+)\/metrics/) ?? [];
    const company = async (mode: string) => {
      const response = await fetch(`${url}/card-company/${mode}`, { method: "POST" });
      return [response.status, (await response.text()).match(/^\* (\w+)/m)?.[1]];
    };
    /** How many events payment has not settled. */
    const behind = async () =>
      total((await get(`${url}/metrics`)).text, 'tidings_group_(?:lag|pending)\\{.*"payment".*\\}');

    for (const mode of ["down", "silent", "slow"]) {
      assertEquals(await company(mode), [200, mode]);
      await until(stdout, `The card company is ${mode}`);
      await waitUntil(async () => await behind() > 10, "payment falls behind");
      assertEquals(await company("usual"), [200, "usual"]);
      await waitUntil(async () => await behind() < 5, "payment has caught up");
    }
    assertEquals((await company("closed"))[0], 404);
    // Ctrl-C also ends a process whose handlers wait for an answer that never comes.
    await company("silent");
    await waitUntil(async () => await behind() > 4, "handlers wait");
    await interrupt(child, stdout);
  },
);

Deno.test("observed: payment runs in a process of its own", { ignore }, async () => {
  const directory = await Deno.makeTempDir({ prefix: "tidings-" });
  try {
    const services = (list: string) =>
      start("observed", [
        `--broker=sqlite:${directory}/auction.db`,
        "--port=0",
        "--rate=20",
        `--services=${list}`,
      ], directory);
    const house = services("auction,notification");
    const houseOut = house.stdout.getReader();
    const [, url] = (await until(houseOut, "Ctrl-C ends it")).match(/(http:\S+)\/metrics/) ?? [];
    await waitUntil(
      async () => total((await get(`${url}/metrics`)).text, "tidings_stream_length") > 20,
      "events wait for payment",
    );
    const payment = services("payment");
    const paymentOut = payment.stdout.getReader();
    await until(paymentOut, "Ctrl-C ends it");
    await waitUntil(
      async () => /tidings_stream_length\{.*"PaymentProcessed".*\} [1-9]/.test((await get(`${url}/metrics`)).text),
      "payments come",
    );
    await interrupt(payment, paymentOut);
    await interrupt(house, houseOut);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("the task of observed sends traces to OTEL_EXPORTER_OTLP_ENDPOINT, and prints none", { ignore }, async () => {
  await using receiver = new OtlpReceiver();
  const launcher = fileURLToPath(new URL("../../offline/example.ts", import.meta.url));
  const port = freePort();
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "-A", launcher, "observed", "--broker=memory:", `--port=${port}`, "--rate=20"],
    cwd: fileURLToPath(new URL("../../", import.meta.url)),
    env: {
      OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url,
      OTEL_EXPORTER_OTLP_PROTOCOL: "http/json",
      OTEL_SERVICE_NAME: "auction",
      TIDINGS_JSR: inheritedImportFlags().length === 0 ? "jsr" : "stand-in",
    },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const stdout = child.stdout.getReader();
  await until(stdout, "Traces go where OTEL_EXPORTER_OTLP_ENDPOINT says.");
  const charges = () => receiver.spans.filter(({ name }) => name === "charge card");
  await waitUntil(() => charges().length > 0, "a trace has come");
  const processing = new Map(
    receiver.spans.filter(({ name }) => name === "process AuctionEnded")
      .map((span) => [span.spanId, span]),
  );
  assert(charges().some(({ parentSpanId }) => processing.has(parentSpanId)), "the handler's span is the parent");
  child.kill("SIGINT");
  assert(!(await rest(stdout)).includes("A trace with"));
  assertEquals([(await child.status).code, await new Response(child.stderr).text()], [130, ""]);
});

Deno.test("observed rejects wrong flags, and a port that is in use", async () => {
  using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = taken.addr as Deno.NetAddr;
  const cases: [flag: string, why: string][] = [
    ["--port=1.5", "--port=1.5 is no whole number from 0 to 65535"],
    ["--port=x", "--port=x is no whole number from 0 to 65535"],
    ["--rate=0", "--rate=0 is no number from 0.01 to 100"],
    ["--services=bank", 'there is no service "bank"; the services are auction, payment, notification'],
    [`--port=${port}`, `another program listens on 127.0.0.1:${port}; give another port`],
  ];
  for (const [flag, why] of cases) {
    const { code, stdout, stderr } = await start("observed", ["--broker=memory:", flag]).output();
    const text = new TextDecoder();
    assertEquals([code, text.decode(stdout)], [2, ""]);
    assertStringIncludes(text.decode(stderr), `Cannot run observed.ts: ${why}`);
    assertMatch(text.decode(stderr), /^[^\n]+\n$/);
  }
});
