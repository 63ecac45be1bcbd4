import { assert, assertEquals } from "@std/assert";
import { defineEvent, InMemoryBroker, PermanentError } from "@tidings/broker";
import { instrument } from "@tidings/broker/telemetry";
import { SCHEMA_URL } from "../../src/telemetry/_attributes.ts";
import { until } from "../../src/testing/_broker_bench.ts";
import { root } from "../structure/_imports.ts";
import { everyMetric } from "../telemetry/_every_metric.ts";
import { Spans } from "../telemetry/_otel.ts";
import { readRules } from "../telemetry/_rules.ts";
import { fencesOf, readPage } from "./_markdown.ts";
import { runPrograms } from "./_run_page.ts";

const PAGE = "docs/MONITORING.md";
const page = readPage(PAGE);

/** The rows of all tables below a heading, without the heads of the tables. */
function rowsBelow(heading: string): string[][] {
  const [, section] = page.split(`\n## ${heading}\n`);
  const rows = section!.split(/\n## /)[0]!.split("\n").filter((line) => line.startsWith("|"));
  return rows.map((line) => line.split("|").slice(1, -1).map((cell) => cell.trim()))
    .filter(([first]) => first!.includes("`"));
}

/** What is between backticks. */
const codeIn = (text: string) => [...text.matchAll(/`([^`]+)`/g)].map(([, code]) => code!);

Deno.test(`${PAGE}: its programs print what the page shows`, (test) => runPrograms(test, PAGE));

Deno.test(`${PAGE}: every alert has a heading and its severity, in the order of monitoring/rules.yml`, () => {
  const [, section] = page.split("\n## Alerts\n");
  const described = [...section!.split(/\n## /)[0]!.matchAll(/^### (\w+)\n\n(\w+)\./gm)].map(([, name, severity]) => [
    name,
    severity!.toLowerCase(),
  ]);
  const alerts = readRules().groups.flatMap(({ rules }) => rules).filter(({ alert }) => alert !== undefined);
  assertEquals(described, alerts.map(({ alert, labels }) => [alert, labels!["severity"]]));
});

/** Words of the page for labels. */
const LABELS: Readonly<Record<string, string>> = {
  messaging_destination_name: "type",
  messaging_consumer_group_name: "group",
  messaging_operation_name: "operation",
  messaging_operation_type: "operation",
  error_type: "error",
  tidings_delivery_outcome: "outcome",
  tidings_dead_letter_reason: "reason",
  tidings_partition: "partition",
};

Deno.test(`${PAGE}: its tables have every metric, as a broker serves it, and no others`, async () => {
  const scrape = await everyMetric();
  const served = [...scrape.text.matchAll(/^# HELP (\w+) (.*)$/gm)].map(([, name, help]) => {
    const samples = scrape.samples.filter((sample) => sample.name.replace(/_(bucket|sum|count)$/, "") === name);
    const labels = samples.flatMap(({ labels }) => Object.keys(labels)).flatMap((label) => LABELS[label] ?? []);
    return { name: name!, type: scrape.types.get(name!)!, labels: new Set(labels), help: help! };
  });
  const told = new Map(
    rowsBelow("Metrics").map(([name, type, labels, help]) => [codeIn(name!)[0]!, [type, labels, help]]),
  );
  assertEquals([...told.keys()].sort(), served.map(({ name }) => name).sort());
  for (const { name, type, labels, help } of served) {
    const [toldType, toldLabels, toldHelp] = told.get(name)!;
    assertEquals([toldType, toldHelp], [type, help], name);
    // No operation has failed in that scrape.
    const optional = new Set(["error"]);
    assertEquals(
      new Set([...toldLabels!.split(", ")].filter((label) => label !== "")).union(optional),
      labels.union(optional),
      name,
    );
  }
  for (const [label, word] of Object.entries(LABELS)) assert(page.includes(`\`${label}\``), `${word}: ${label}`);
});

class Paid extends defineEvent("Paid")<{ n: number }> {}

/** Spans of all kinds. */
async function everySpan(): Promise<Spans> {
  const spans = new Spans();
  await using broker = new InMemoryBroker({ events: [Paid] });
  using _telemetry = instrument(broker, { tracerProvider: spans.provider, meterProvider: false });
  const paid = (n: number) => new Paid({ n }, { correlationId: "chain" });
  await broker.publish(paid(0));
  await broker.publish([1, 2, 3].map(paid));
  const subscription = await broker.subscribe(Paid, ({ detail: { n } }, { attempt }) => {
    if (n === 1) throw new PermanentError("never");
    if (n === 2 && attempt === 1) throw new Error("later");
  }, { group: "mails", startFrom: "beginning", retry: { minTimeout: 1 }, concurrency: 4 });
  await broker.idle();
  await subscription.close();
  await broker.redrive(Paid, { group: "mails" });
  await broker.rewind(Paid, { group: "mails", to: "beginning" });
  for await (const delivery of broker.consume(Paid, { group: "mails" })) {
    await delivery.ack();
    break;
  }
  await broker.deleteGroup(Paid, { group: "mails", force: true });
  await until(() => spans.named("delete_group Paid").length === 1, "the last span has ended");
  return spans;
}

Deno.test(`${PAGE}: its tables have every span and attribute, and the version of the conventions`, async () => {
  using spans = await everySpan();
  const [tables] = [rowsBelow("Traces")];
  const names = new Set(
    tables.filter((row) => /PRODUCER|CONSUMER|CLIENT/.test(row[1]!)).flatMap(([name]) => codeIn(name!)),
  );
  for (const { name } of spans.all) assert(names.has(name.replace("Paid", "<Type>")), `the span ${name}`);
  const attributes = new Set(tables.flatMap(([name]) => codeIn(name!)));
  for (const { name, attributes: made } of spans.all) {
    for (const attribute of Object.keys(made)) assert(attributes.has(attribute), `${attribute} of ${name}`);
  }
  const sources = ["_attributes", "_traces", "_metrics", "_gauges"]
    .map((name) => Deno.readTextFileSync(new URL(`src/telemetry/${name}.ts`, root))).join("\n");
  for (const attribute of attributes) {
    if (attribute.includes(".")) assert(sources.includes(`"${attribute}"`), `${attribute} is an attribute`);
  }
  const version = SCHEMA_URL.split("/").at(-1)!;
  assertEquals(new Set([...page.matchAll(/[vV]ersion (1\.\d+\.\d+)/g)].map(([, named]) => named)), new Set([version]));
});

Deno.test(`${PAGE}: its table has every diagnostics channel`, () => {
  const source = Deno.readTextFileSync(new URL("src/telemetry/diagnostics.ts", root));
  const tracing = /= \[("publish".*?)\]\.map/.exec(source)![1]!.split(", ").map((name) => JSON.parse(name));
  const told = rowsBelow("Diagnostics channels").map(([channels]) => codeIn(channels!)[0]);
  assertEquals(told, [...tracing.map((name) => `tracing:tidings.${name}:start`), "tidings.lifecycle"]);
});

Deno.test(`${PAGE}: its configuration is one for the processes of the page, with the project's rules`, () => {
  const [config] = fencesOf(page).filter(({ language }) => language === "yaml");
  assert(config!.text.includes("../monitoring/rules.yml"));
  for (const port of ["8000", "8001"]) assert(config!.text.includes(`127.0.0.1:${port}`), port);
});
