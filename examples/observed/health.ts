/**
 * Liveness and readiness of a process, as an orchestrator such as Kubernetes asks for them.
 *
 * @module
 */
import type { HealthOptions } from "@tidings/broker";
import type { AuctionBroker } from "../auction/events.ts";

/**
 * Liveness: whether the process should go on. Status 503 makes the orchestrator restart it, so it is only for faults that a
 * restart can mend. A store that is away is none of them: every process would be restarted, again and again.
 */
export async function livez(broker: AuctionBroker): Promise<Response> {
  const { subscriptions } = await broker.health();
  const ended = subscriptions.filter(({ state }) => state === "failed");
  return answer("live", ended.map(({ group }) => `An error has ended the subscription of group "${group}"`));
}

/** Readiness: whether the process can do its work now. Status 503 comes with one sentence for each problem. */
export async function readyz(broker: AuctionBroker, options: HealthOptions = {}): Promise<Response> {
  const { problems } = await broker.health(options);
  return answer("ready", problems);
}

function answer(well: string, problems: readonly string[]): Response {
  const lines = problems.length === 0 ? [well] : problems;
  // A cached answer would be an old one.
  const headers = { "cache-control": "no-store", "content-type": "text/plain; charset=utf-8" };
  return new Response(`${lines.join("\n")}\n`, { status: problems.length === 0 ? 200 : 503, headers });
}
