/**
 * The auction house under a steady load, to be observed: metrics, health and traces. See observed/README.md.
 *
 *     deno run --allow-read=.tidings --allow-write=.tidings --allow-net=127.0.0.1:8000 examples/observed.ts
 *
 * @module
 */
import type { MeterProvider } from "@opentelemetry/api";
import { connect } from "@tidings/broker";
import { instrument } from "@tidings/broker/telemetry";
import { prometheusMetrics } from "@tidings/broker/telemetry/prometheus";
import { Auction } from "./auction/auction.ts";
import { events } from "./auction/events.ts";
import { startNotification } from "./auction/notification.ts";
import { startPayment } from "./auction/payment.ts";
import { Registration } from "./auction/registration.ts";
import { ExitError, main, shown } from "./_cli.ts";
import { CardCompany } from "./observed/card_company.ts";
import { endpoints } from "./observed/endpoints.ts";
import { PrintedTraces } from "./observed/printed_traces.ts";
import { Status } from "./observed/status.ts";
import { steadyLoad } from "./observed/steady_load.ts";

const SERVICES = ["auction", "payment", "notification"];
const FLAGS = {
  port: { value: "PORT", about: "where /metrics, /livez and /readyz are; 0 for any free port", initial: "8000" },
  hostname: { value: "HOST", about: "the address to listen on; 0.0.0.0 for all", initial: "127.0.0.1" },
  rate: { value: "N", about: "how many auctions begin in a second", initial: "2" },
  services: { value: "LIST", about: "which services run in this process", initial: SERVICES.join() },
};
// Payment's slowest mode that still makes progress settles an event every 8 s.
const STALLED_AFTER = 15_000;
const STATUS_EVERY = 5_000;

await main("observed", "The auction house under a steady load", async ({ url, flags, signal, fail, begin }) => {
  const port = number(flags, "port", { least: 0, most: 65_535, whole: true });
  const perSecond = number(flags, "rate", { least: 0.01, most: 100 });
  const services = flags.services!.split(",");
  const unknown = services.find((service) => !SERVICES.includes(service));
  if (unknown !== undefined) throw wrong(`there is no service "${unknown}"; the services are ${SERVICES.join(", ")}`);

  // Metrics for Prometheus, and traces: printed here, or sent to a collector by Deno.
  await using metrics = prometheusMetrics();
  using traces = PrintedTraces.begin();
  // With a prefix of its own: the other examples read all their events, and here there are many.
  await using broker = await connect(url, { events, prefix: "observed", retention: { maxLength: 5_000 } });
  using _telemetry = instrument(broker, { meterProvider: metrics.meterProvider, stalledAfter: STALLED_AFTER });
  // Metrics of our own go the same way.
  const bids = (metrics.meterProvider as MeterProvider).getMeter("auction").createCounter("auction.bids", {
    description: "Bids that were made.",
    unit: "{bid}",
  });

  broker.addEventListener("error", ({ error }) => fail(error));
  const status = new Status(broker, { stalledAfter: STALLED_AFTER });
  using _counting = broker.observe(status);
  const company = new CardCompany(signal);
  const handler = endpoints({ broker, company, metrics: metrics.handler, stalledAfter: STALLED_AFTER });
  await using server = listen(flags.hostname!, port, handler);

  // A short lease, so that another process soon takes over when this one is killed.
  const payment = { concurrency: 4, lease: 10_000 };
  await using _payment = services.includes("payment") ? await startPayment(broker, company.charge, payment) : undefined;
  const sendMail = () => Promise.resolve();
  await using _notification = services.includes("notification") ? await startNotification(broker, sendMail) : undefined;

  begin();
  const at = `http://${server.addr.hostname}:${server.addr.port}`;
  console.log(`
  Events are stored in ${shown(url)}.
  Services: ${services.join(", ")}.

  ${at}/metrics       for Prometheus
  ${at}/livez         would a restart help?
  ${at}/readyz        can it do its work?
  ${at}/card-company  what the card company does; try this:
  curl -X POST ${at}/card-company/down

  ${traces === undefined ? "Traces go where OTEL_EXPORTER_OTLP_ENDPOINT says." : "Below: numbers, and traces."}
  examples/observed/README.md says what to look for. Ctrl-C ends it.
`);

  using _printing = status.printEvery(STATUS_EVERY);
  if (!services.includes("auction")) return await aborted(signal);
  await steadyLoad({
    auction: new Auction(broker),
    registration: new Registration(broker, company.tokenize),
    perSecond,
    signal,
    onBid: () => bids.add(1),
    onFailure: (error) => status.notPublished(error),
  });
}, { flags: FLAGS, endless: true });

function number(
  flags: Readonly<Record<string, string>>,
  flag: string,
  { least, most, whole = false }: { least: number; most: number; whole?: boolean },
): number {
  const value = Number(flags[flag]);
  if (value >= least && value <= most && (!whole || Number.isInteger(value))) return value;
  throw wrong(`--${flag}=${flags[flag]} is no ${whole ? "whole " : ""}number from ${least} to ${most}`);
}

function listen(hostname: string, port: number, handler: Deno.ServeHandler): Deno.HttpServer<Deno.NetAddr> {
  try {
    return Deno.serve({ hostname, port, onListen: () => {} }, handler);
  } catch (error) {
    if (error instanceof Deno.errors.AddrInUse) {
      throw wrong(`another program listens on ${hostname}:${port}; give another port, as in --port=${port + 1}`);
    }
    const why = error instanceof Error ? error.message : error;
    throw wrong(`it cannot listen on ${hostname}:${port}: ${why}; give an address of this machine`);
  }
}

function wrong(why: string): ExitError {
  return new ExitError(2, `Cannot run observed.ts: ${why}`);
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
