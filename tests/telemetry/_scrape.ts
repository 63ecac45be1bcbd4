import type { EventBroker, EventClass } from "@tidings/broker";
import { instrument } from "@tidings/broker/telemetry";
import { type PrometheusMetrics, prometheusMetrics } from "@tidings/broker/telemetry/prometheus";

type Labels = Readonly<Record<string, string>>;

/** One line of a scrape. */
interface Sample {
  readonly name: string;
  readonly labels: Labels;
  readonly value: number;
}

// The labels that every metric has for its event type and its group, as tests write them.
const SHORT: Labels = { type: "messaging_destination_name", group: "messaging_consumer_group_name" };

/** The text that Prometheus would get. */
export class Scrape {
  readonly text: string;
  readonly samples: readonly Sample[];
  /** Types of metrics, by their names. */
  readonly types: ReadonlyMap<string, string>;

  constructor(text: string) {
    this.text = text;
    this.samples = [...text.matchAll(/^(\w+)(?:\{(.*)\})? (\S+)$/gm)].map(([, name, labels, value]) => ({
      name: name!,
      labels: Object.fromEntries(
        [...(labels ?? "").matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(([, label, text]) => [label, text]),
      ),
      value: Number(value),
    }));
    this.types = new Map([...text.matchAll(/^# TYPE (\w+) (\w+)$/gm)].map(([, name, type]) => [name!, type!]));
  }

  /** The sum of the samples that have these labels; undefined when there is none. */
  value(name: string, labels: Labels = {}): number | undefined {
    const found = this.samples.filter((sample) => sample.name === name && matches(sample, labels));
    return found.length === 0 ? undefined : found.reduce((sum, { value }) => sum + value, 0);
  }

  /** The values that a label has among the samples of a metric. */
  values(name: string, label: string): string[] {
    const values = this.samples.filter((sample) => sample.name === name).map(({ labels }) => labels[label] ?? "");
    return [...new Set(values)].sort();
  }

  /** All label names. */
  get labels(): string[] {
    return [...new Set(this.samples.flatMap(({ labels }) => Object.keys(labels)))].sort();
  }
}

function matches({ labels }: Sample, wanted: Labels): boolean {
  return Object.entries(wanted).every(([label, value]) => labels[SHORT[label] ?? label] === value);
}

/** What Prometheus would get now. */
export async function scrapeOf({ handler }: PrometheusMetrics): Promise<Scrape> {
  return new Scrape(await (await handler(new Request("http://127.0.0.1/metrics"))).text());
}

/** Counts what a broker does, until it is disposed. */
export function measure<C extends EventClass>(
  broker: EventBroker<C>,
): AsyncDisposable & { scrape(): Promise<Scrape> } {
  const metrics = prometheusMetrics();
  const telemetry = instrument(broker, { meterProvider: metrics.meterProvider, tracerProvider: false });
  return {
    scrape: () => scrapeOf(metrics),
    async [Symbol.asyncDispose]() {
      telemetry[Symbol.dispose]();
      await metrics[Symbol.asyncDispose]();
    },
  };
}

/**
 * Has promtool judge a scrape: whether Prometheus can read it, and whether names, types and units follow its rules.
 *
 * @throws {Error} If promtool finds a fault, or cannot be started.
 */
export async function checkWithPromtool({ text }: Scrape): Promise<void> {
  let child: Deno.ChildProcess;
  try {
    child = new Deno.Command("promtool", {
      args: ["check", "metrics"],
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
  } catch (cause) {
    throw new Error("Cannot check metrics: promtool does not start; install the package prometheus", { cause });
  }
  const [output] = await Promise.all([child.output(), new Response(text).body!.pipeTo(child.stdin)]);
  const found = [output.stdout, output.stderr].map((bytes) => new TextDecoder().decode(bytes)).join("").trim();
  if (output.code !== 0 || found !== "") throw new Error(`promtool refuses the metrics:\n${found}\n${text}`);
}
