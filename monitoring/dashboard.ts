/**
 * Describes the dashboard of Grafana, and writes it:
 *
 *     deno task grafana
 *
 * @module
 */
import type { Dashboard as GrafanaDashboard, VariableModel } from "npm:@grafana/schema@^13";
import { DATA_SOURCE, layOut, type Plain } from "./_panels.ts";
import { SECTIONS } from "./_sections.ts";

/** Where the dashboard is. */
export const DASHBOARD_FILE = new URL("grafana/tidings.json", import.meta.url);

/** A variable whose values are those of a label. */
function labelVariable(name: string, title: string, label: string, metric: string): Plain<VariableModel> {
  const query = `label_values(${metric}, ${label})`;
  return {
    name,
    label: title,
    type: "query",
    datasource: DATA_SOURCE,
    query: { qryType: 1, query, refId: "PrometheusVariableQueryEditor-VariableQuery" },
    includeAll: true,
    allValue: ".*",
    multi: true,
    current: { text: ["All"], value: ["$__all"] },
    refresh: 2,
    sort: 1,
  };
}

/** The dashboard, as Grafana reads it. */
export function dashboard(): Plain<GrafanaDashboard> {
  return {
    uid: "tidings",
    title: "Tidings",
    description:
      "Brokers of @tidings/broker. Written by `deno task grafana` from monitoring/dashboard.ts: do not edit.",
    tags: ["tidings"],
    schemaVersion: 39,
    editable: false,
    graphTooltip: 1,
    refresh: "10s",
    time: { from: "now-30m", to: "now" },
    templating: {
      list: [
        { name: "datasource", label: "Data source", type: "datasource", query: "prometheus" },
        labelVariable("type", "Event type", "messaging_destination_name", "tidings_stream_length"),
        labelVariable(
          "group",
          "Group",
          "messaging_consumer_group_name",
          `tidings_group_lag{messaging_destination_name=~"$type"}`,
        ),
      ],
    },
    panels: layOut(SECTIONS),
  };
}

/** The text of the file. */
export function dashboardText(): string {
  return JSON.stringify(dashboard(), null, 2) + "\n";
}

if (import.meta.main) Deno.writeTextFileSync(DASHBOARD_FILE, dashboardText());
