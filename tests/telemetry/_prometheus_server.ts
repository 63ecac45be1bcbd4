import { join } from "node:path";
import { until } from "../../src/testing/_broker_bench.ts";
import { freePort } from "../redis/_free_port.ts";
import type { RuleFile } from "./_rules.ts";

/** What Prometheus answers to a query: one sample for each series. */
export interface Sample {
  readonly metric: Readonly<Record<string, string>>;
  readonly value: readonly [time: number, value: string];
}

/** An alert that is pending or firing. */
export interface Alert {
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly state: "pending" | "firing";
}

/** A Prometheus on a free port, with a folder of its own. */
export class PrometheusServer implements AsyncDisposable {
  readonly url: string;
  #process: Deno.ChildProcess;
  #folder: string;

  private constructor(url: string, process: Deno.ChildProcess, folder: string) {
    this.url = url;
    this.#process = process;
    this.#folder = folder;
  }

  /**
   * Starts one that scrapes targets each half second, and resolves once it answers.
   *
   * @param targets Addresses such as `127.0.0.1:8000`, by job.
   */
  static async start(targets: Readonly<Record<string, string>>, rules: RuleFile): Promise<PrometheusServer> {
    const folder = await Deno.makeTempDir({ prefix: "tidings-prometheus-" });
    const config = {
      global: { scrape_interval: "500ms", scrape_timeout: "500ms", evaluation_interval: "500ms" },
      rule_files: ["rules.yml"],
      scrape_configs: Object.entries(targets).map(([job_name, target]) => ({
        job_name,
        static_configs: [{ targets: [target] }],
      })),
    };
    // JSON is YAML, too.
    await Deno.writeTextFile(join(folder, "prometheus.yml"), JSON.stringify(config));
    await Deno.writeTextFile(join(folder, "rules.yml"), JSON.stringify(rules));
    const address = `127.0.0.1:${freePort()}`;
    const process = new Deno.Command("prometheus", {
      args: [
        `--config.file=${join(folder, "prometheus.yml")}`,
        `--storage.tsdb.path=${join(folder, "data")}`,
        `--web.listen-address=${address}`,
        "--log.level=error",
      ],
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    const server = new PrometheusServer(`http://${address}`, process, folder);
    try {
      await until(() => server.#isReady(), "Prometheus answers");
      return server;
    } catch (error) {
      await server[Symbol.asyncDispose]();
      throw error;
    }
  }

  async #isReady(): Promise<boolean> {
    try {
      const response = await fetch(`${this.url}/-/ready`);
      await response.body?.cancel();
      return response.ok;
    } catch {
      return false;
    }
  }

  /** Evaluates an expression now. */
  async query(expression: string): Promise<Sample[]> {
    return (await this.#get(`query?${new URLSearchParams({ query: expression })}`)).result;
  }

  /** Alerts that are pending or firing. */
  async alerts(): Promise<Alert[]> {
    return (await this.#get("alerts")).alerts;
  }

  // deno-lint-ignore no-explicit-any -- the answers differ
  async #get(path: string): Promise<any> {
    const answer = await (await fetch(`${this.url}/api/v1/${path}`)).json();
    if (answer.status !== "success") throw new Error(`Cannot get ${path} from Prometheus: ${answer.error}`);
    return answer.data;
  }

  /** Kills it and removes its folder. */
  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#process.kill("SIGKILL");
    } catch {
      // It ended before.
    }
    await this.#process.status;
    await Deno.remove(this.#folder, { recursive: true });
  }
}
