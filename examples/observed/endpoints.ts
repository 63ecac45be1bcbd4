import type { AuctionBroker } from "../auction/events.ts";
import { type CardCompany, isMode, MODES } from "./card_company.ts";
import { livez, readyz } from "./health.ts";

/** What the endpoints show and change. */
export interface EndpointOptions {
  broker: AuctionBroker;
  company: CardCompany;
  metrics: (request: Request) => Promise<Response>;
  stalledAfter: number;
}

/** Answers the requests of Prometheus, of an orchestrator and of the reader. */
export function endpoints({ broker, company, metrics, stalledAfter }: EndpointOptions): Deno.ServeHandler {
  return async (request) => {
    const { pathname } = new URL(request.url);
    const [, path, mode] = /^\/([^/]*)(?:\/([^/]*))?$/.exec(pathname) ?? [];
    if (path === "card-company" && mode !== undefined && request.method === "POST") return change(company, mode);
    if (mode === undefined) {
      if (path === "metrics") return await metrics(request);
      if (path === "livez") return await livez(broker);
      if (path === "readyz") return await readyz(broker, { stalledAfter });
      if (path === "card-company") return text(200, modes(company));
    }
    return text(
      404,
      `There is no ${request.method} ${pathname}; there are /metrics, /livez, /readyz and /card-company`,
    );
  };
}

function change(company: CardCompany, mode: string): Response {
  if (!isMode(mode)) return text(404, `The card company has no mode ${mode}; it has:\n${modes(company)}`);
  company.become(mode);
  console.log(`  The card company is ${mode}: it ${MODES[mode]}.`);
  return text(200, modes(company));
}

function modes({ mode }: CardCompany): string {
  return Object.entries(MODES).map(([name, does]) => `${name === mode ? "*" : " "} ${name.padEnd(8)}${does}`).join(
    "\n",
  );
}

function text(status: number, body: string): Response {
  return new Response(`${body}\n`, { status, headers: { "content-type": "text/plain; charset=utf-8" } });
}
