import { assert, assertEquals } from "@std/assert";
import { fileURLToPath } from "node:url";
import { parse } from "npm:yaml@^2";
import { DASHBOARD_FILE, dashboardText } from "../../monitoring/dashboard.ts";
import { root } from "../structure/_imports.ts";
import { everyMetric } from "./_every_metric.ts";
import { panelQueries } from "./_panel_queries.ts";
import { promtool, readRules, RULES } from "./_rules.ts";

const path = (name: string) => fileURLToPath(new URL(name, root));

Deno.test("monitoring/rules.yml and prometheus.yml pass promtool's checks and rules_test.yml", async () => {
  await promtool("check", "config", path("monitoring/prometheus.yml"));
  await promtool("check", "rules", fileURLToPath(RULES));
  await promtool("test", "rules", path("monitoring/rules_test.yml"));
});

const rules = readRules().groups.flatMap(({ rules }) => rules);
const alerts = rules.filter(({ alert }) => alert !== undefined);

Deno.test("monitoring/rules_test.yml has each alert fire, and not fire, and uses each recording", () => {
  const text = Deno.readTextFileSync(new URL("monitoring/rules_test.yml", root));
  const { tests } = parse(text) as { tests: { alert_rule_test?: { alertname: string; exp_alerts: unknown[] }[] }[] };
  const cases = tests.flatMap(({ alert_rule_test = [] }) => alert_rule_test);
  for (const { alert } of alerts) {
    const fires = cases.filter(({ alertname }) => alertname === alert).map(({ exp_alerts }) => exp_alerts.length > 0);
    assertEquals([...new Set(fires)].sort(), [false, true], alert);
  }
  const used = rules.map(({ expr }) => expr).join("\n") + text;
  for (const { record } of rules) if (record !== undefined) assert(used.includes(record), record);
});

Deno.test("each alert has a severity and says what happened, what to do and where to read on", () => {
  for (const { alert, labels, annotations } of alerts) {
    assert(["critical", "warning"].includes(labels!["severity"]!), alert);
    assertEquals(Object.keys(annotations!), ["summary", "description", "runbook_url"], alert);
    const page = "https://github.com/tidings/broker/blob/main/docs/MONITORING.md";
    assertEquals(annotations!["runbook_url"], `${page}#${alert!.toLowerCase()}`);
  }
});

Deno.test("Grafana's dashboard is written from monitoring/dashboard.ts: run `deno task grafana` after a change", () => {
  assertEquals(Deno.readTextFileSync(DASHBOARD_FILE), dashboardText());
});

Deno.test("the queries of Grafana's dashboard are valid PromQL", async () => {
  const queries = panelQueries(DASHBOARD_FILE);
  assert(queries.length > 30, "queries were found");
  const file = await Deno.makeTempFile({ suffix: ".yml" });
  try {
    const rules = queries.map(({ expr }, nth) => ({ record: `panel:${nth}`, expr }));
    // JSON is YAML, too.
    await Deno.writeTextFile(file, JSON.stringify({ groups: [{ name: "panels", rules }] }));
    await promtool("check", "rules", file);
  } finally {
    await Deno.remove(file);
  }
});

Deno.test("every metric and label in a rule or on the dashboard is one that a broker serves", async () => {
  const scrape = await everyMetric();
  const served = new Map<string, Set<string>>();
  for (const { name, labels } of scrape.samples) {
    served.set(name, new Set([...served.get(name) ?? [], ...Object.keys(labels)]));
  }
  const known = new Set([...served.keys(), ...scrape.labels, ...rules.flatMap(({ record }) => record ?? [])]);
  const asked = [
    ...rules.map(({ record, alert, expr }) => ({ where: `rule ${record ?? alert}`, expr })),
    ...panelQueries(DASHBOARD_FILE),
  ];
  for (const { where, expr } of asked) {
    const bare = expr.replaceAll(/"[^"]*"/g, '""');
    for (const [name] of bare.matchAll(/\b(tidings|messaging|error)[\w:]*/g)) {
      assert(known.has(name), `${where}: ${name}`);
    }
    for (const [, name, selectors] of bare.matchAll(/([\w:]+)\{([^}]*)\}/g)) {
      for (const [, label] of selectors!.matchAll(/(\w+)\s*[=!]/g)) {
        if (served.has(name!)) assert(served.get(name!)!.has(label!), `${where}: ${name} has no label ${label}`);
      }
    }
  }
});
