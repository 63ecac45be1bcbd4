/** What a panel of the dashboard, or one of its variables, asks for. */
export interface PanelQuery {
  readonly where: string;
  /** The query, for all types and groups, with rates over 5 minutes. */
  readonly expr: string;
}

/** All queries of a dashboard. */
export function panelQueries(file: URL): PanelQuery[] {
  const { panels, templating } = JSON.parse(Deno.readTextFileSync(file));
  const queries: PanelQuery[] = panels.flatMap(({ title, targets = [] }: { title: string; targets?: PanelQuery[] }) =>
    targets.map(({ expr }) => ({ where: `panel "${title}"`, expr }))
  );
  const variables = templating.list.filter(({ type }: { type: string }) => type === "query");
  for (const { name, query } of variables) {
    const [, metric, label] = /^label_values\((.*), (\w+)\)$/.exec(query.query)!;
    queries.push({ where: `variable ${name}`, expr: `count by (${label}) (${metric})` });
  }
  return queries.map(({ where, expr }) => ({
    where,
    expr: expr.replaceAll("$__rate_interval", "5m").replaceAll(/\$(type|group)/g, ".*"),
  }));
}
