import { assert, assertEquals } from "@std/assert";
import { DASHBOARD_FILE } from "../../monitoring/dashboard.ts";
import { sleep, until as waitUntil } from "../../src/testing/_broker_bench.ts";
import { start, until as untilSaid } from "../examples/_example.ts";
import { freePort } from "../redis/_free_port.ts";
import { RedisServer } from "../redis/_server.ts";
import { panelQueries } from "./_panel_queries.ts";
import { type Alert, PrometheusServer } from "./_prometheus_server.ts";
import { hurried, readRules } from "./_rules.ts";

/** The auction example in two processes: payment is the one that is killed. */
class Auction implements AsyncDisposable {
  readonly ports = { auction: freePort(), payment: freePort() };
  #broker: URL;
  #processes = new Map<string, Deno.ChildProcess>();

  constructor(broker: URL) {
    this.#broker = broker;
  }

  async start(job: "auction" | "payment"): Promise<void> {
    const services = job === "auction" ? "auction,notification" : "payment";
    const options = [
      `--broker=${this.#broker.href}`,
      `--port=${this.ports[job]}`,
      `--services=${services}`,
      "--rate=20",
    ];
    const process = start("observed", options);
    this.#processes.set(job, process);
    void process.stderr.pipeTo(new WritableStream());
    const reader = process.stdout.getReader();
    await untilSaid(reader, "Ctrl-C ends it");
    // An output that is not read would stop the process.
    void (async () => {
      while (!(await reader.read()).done);
    })();
  }

  /** As by `kill -9`. */
  async kill(job: string): Promise<void> {
    const process = this.#processes.get(job);
    this.#processes.delete(job);
    process?.kill("SIGKILL");
    await process?.status;
  }

  /** Changes what the card company does, which payment calls. */
  async cardCompany(mode: string): Promise<void> {
    const response = await fetch(`http://127.0.0.1:${this.ports.payment}/card-company/${mode}`, { method: "POST" });
    await response.body?.cancel();
    assert(response.ok);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const job of this.#processes.keys()) await this.kill(job);
  }
}

Deno.test("Prometheus fires alerts while their causes last, on the auction", async (test) => {
  await using redis = await RedisServer.start();
  await using auction = new Auction(redis.url);
  await auction.start("auction");
  await auction.start("payment");
  const { ports } = auction;
  await using prometheus = await PrometheusServer.start(
    { auction: `127.0.0.1:${ports.auction}`, payment: `127.0.0.1:${ports.payment}` },
    // A rate over 5 minutes becomes one over 6 seconds.
    hurried(readRules(), 50),
  );

  const firing = async () => (await prometheus.alerts()).filter(({ state }) => state === "firing");
  const becomes = async (what: string, condition: (alerts: readonly Alert[]) => boolean) => {
    let last: readonly Alert[] = [];
    const met = async () => {
      await sleep(200);
      return condition(last = await firing());
    };
    await waitUntil(met, what, 90_000).catch((cause) => {
      throw new Error(`These alerts fire: ${last.map(({ labels }) => JSON.stringify(labels)).join()}`, { cause });
    });
  };
  const fires = (name: string, labels: Record<string, string>) =>
    becomes(
      `${name} fires`,
      (alerts) =>
        alerts.some((alert) =>
          Object.entries({ alertname: name, ...labels }).every(([label, value]) => alert.labels[label] === value)
        ),
    );
  const clears = (...names: string[]) =>
    becomes(
      `${names.join(" and ")} clear`,
      (alerts) => !alerts.some(({ labels }) => names.includes(labels["alertname"]!)),
    );
  const group = { messaging_destination_name: "AuctionEnded", messaging_consumer_group_name: "payment" };

  await test.step("all is well", async () => {
    await waitUntil(
      async () => {
        await sleep(200);
        const rates = await prometheus.query(
          'tidings:events_handled:rate5m{messaging_consumer_group_name="payment"} > 0',
        );
        return rates.length === 1;
      },
      "events are handled",
      60_000,
    );
    await clears("TidingsNoConsumer", "TidingsNothingHandled", "TidingsStoreAway", "TidingsProcessDown");
  });

  await test.step("payment is killed, and started again", async () => {
    await auction.kill("payment");
    await fires("TidingsNoConsumer", { ...group, severity: "critical" });
    await fires("TidingsProcessDown", { job: "payment" });
    const [alert] = (await firing()).filter(({ labels }) => labels["alertname"] === "TidingsNoConsumer");
    assertEquals(alert!.annotations["summary"], "No process handles AuctionEnded for group payment");
    await fires("TidingsLagGrowing", group);
    await auction.start("payment");
    await clears("TidingsNoConsumer", "TidingsProcessDown", "TidingsLagGrowing");
  });

  await test.step("the card company is down, and up again", async () => {
    await auction.cardCompany("down");
    await fires("TidingsAttemptsFail", group);
    await fires("TidingsNothingHandled", group);
    await fires("TidingsDeadLettersGrow", group);
    await auction.cardCompany("usual");
    await clears("TidingsAttemptsFail", "TidingsNothingHandled");
  });

  await test.step("the store is killed, and started again", async () => {
    await redis.kill();
    await fires("TidingsStoreAway", { job: "payment" });
    await fires("TidingsStoreAway", { job: "auction" });
    await redis.restart();
    await clears("TidingsStoreAway", "TidingsNotReady");
  });

  await test.step("the panels of the dashboard show something", async () => {
    // These totals begin with the first such event, and the auction has none.
    const unused = /tidings_events_(redriven|discarded|trimmed)_total/;
    for (const { where, expr } of panelQueries(DASHBOARD_FILE)) {
      if (!unused.test(expr)) assert((await prometheus.query(expr)).length > 0, `${where} shows nothing: ${expr}`);
    }
  });
});
