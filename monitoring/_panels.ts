/**
 * Makes panels of Grafana from few words, and lays them out. Types are those of Grafana's own schema.
 *
 * @module
 */
import type { Panel as GrafanaPanel, RowPanel as GrafanaRow } from "npm:@grafana/schema@^13";
import type { Options as StatOptions } from "npm:@grafana/schema@^13/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen";
import type {
  FieldConfig as ChartFields,
  Options as ChartOptions,
} from "npm:@grafana/schema@^13/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen";

/** A type with the values of its enums in place of the enums, so that plain JSON can be written. */
export type Plain<T> = T extends string ? `${T}`
  : T extends readonly (infer Element)[] ? Plain<Element>[]
  : T extends object ? { [K in keyof T]: Plain<T[K]> }
  : T;

/** A panel, without its place. */
export type Panel = Plain<GrafanaPanel>;

/** Where all queries go: the data source that is chosen at the top of the dashboard. */
export const DATA_SOURCE = { type: "prometheus", uid: "${datasource}" };

/** A query in PromQL, and the legend of its series. */
export type Query = readonly [expression: string, legend: string];

/** What a panel shows. */
interface PanelInit {
  readonly title: string;
  /** What a reader should conclude from it. */
  readonly description: string;
  readonly queries: readonly Query[];
  /** A unit of Grafana, such as `s` or `percentunit`. @default {"short"} */
  readonly unit?: string;
}

/** What a number shows. */
export interface StatInit extends PanelInit {
  /** From this value on it is red. @default {1} */
  readonly badFrom?: number;
}

/** Grafana's grid has 24 columns. */
const COLUMNS = 24;
const [STAT_WIDTH, CHART_WIDTH] = [4, 12];

/** One number, green while all is well. */
export function stat({ badFrom = 1, ...init }: StatInit): Panel {
  const options: Plain<StatOptions> = {
    colorMode: "background",
    graphMode: "none",
    justifyMode: "auto",
    orientation: "auto",
    percentChangeColorMode: "standard",
    reduceOptions: { calcs: ["lastNotNull"], fields: "", values: false },
    showPercentChange: false,
    textMode: "auto",
    wideLayout: true,
  };
  return {
    ...common("stat", init, STAT_WIDTH, 4),
    options: { ...options },
    fieldConfig: {
      defaults: {
        unit: init.unit ?? "short",
        thresholds: {
          mode: "absolute",
          steps: [{ color: "green", value: null }, { color: "red", value: badFrom }],
        },
      },
      overrides: [],
    },
  };
}

/** Lines over time, with a table of their last and highest values. */
export function chart(init: PanelInit): Panel {
  const options: Plain<ChartOptions> = {
    legend: { calcs: ["lastNotNull", "max"], displayMode: "table", placement: "bottom", showLegend: true },
    tooltip: { mode: "multi", sort: "desc" },
  };
  const custom: Plain<ChartFields> = {
    drawStyle: "line",
    fillOpacity: 10,
    lineWidth: 1,
    showPoints: "never",
    axisSoftMin: 0,
  };
  return {
    ...common("timeseries", init, CHART_WIDTH, 8),
    options: { ...options },
    fieldConfig: {
      defaults: { unit: init.unit ?? "short", custom: { ...custom }, color: { mode: "palette-classic" } },
      overrides: [],
    },
  };
}

function common(type: string, { title, description, queries }: PanelInit, w: number, h: number): Panel {
  return {
    type,
    title,
    description,
    datasource: DATA_SOURCE,
    gridPos: { x: 0, y: 0, w, h },
    targets: queries.map(([expr, legendFormat], nth) => ({
      refId: String.fromCharCode("A".charCodeAt(0) + nth),
      datasource: DATA_SOURCE,
      editorMode: "code",
      range: true,
      expr,
      legendFormat,
    })),
  };
}

/** Panels below a heading. */
export interface Section {
  readonly title: string;
  readonly panels: readonly Panel[];
}

/** Places sections below each other, and their panels from left to right. */
export function layOut(sections: readonly Section[]): (Panel | Plain<GrafanaRow>)[] {
  let [id, y] = [0, 0];
  return sections.flatMap(({ title, panels }) => {
    const row: Plain<GrafanaRow> = {
      id: ++id,
      type: "row",
      title,
      collapsed: false,
      gridPos: { x: 0, y: y++, w: COLUMNS, h: 1 },
      panels: [],
    };
    let [x, height] = [0, 0];
    const placed = panels.map((panel) => {
      const { w, h } = panel.gridPos!;
      if (x + w > COLUMNS) [x, y, height] = [0, y + height, 0];
      const at = { ...panel, id: ++id, gridPos: { x, y, w, h } };
      [x, height] = [x + w, Math.max(height, h)];
      return at;
    });
    y += height;
    return [row, ...placed];
  });
}
