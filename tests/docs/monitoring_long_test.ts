import { assert, assertEquals } from "@std/assert";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import manifest from "../../deno.json" with { type: "json" };
import { sleep, until } from "../../src/testing/_broker_bench.ts";
import { freePort } from "../redis/_free_port.ts";
import { root } from "../structure/_imports.ts";
import { difference, type Fence, fencesOf, readPage, words, writeFiles } from "./_markdown.ts";

const PAGE = "docs/MONITORING.md";
const SECTION = "## From nothing to a firing alert";
/** Commands that are not run here, each with the reason. */
const NOT_HERE: Readonly<Record<string, string>> = {
  "docker compose --profile monitoring up -d prometheus grafana":
    "it needs a Docker daemon; Debian's Prometheus is run",
};
const STOP_PAYMENT = "**Stop the payment service** with Ctrl-C";
// An alert fires after a minute, a lease runs out after ten seconds, and the machine may be busy.
const PATIENCE = 240_000;

/** The commands of the section, with other ports and in another folder, so that nothing meets what the machine runs. */
class Walk implements AsyncDisposable {
  readonly #folder: string;
  readonly #ports = { 8000: freePort(), 8001: freePort(), 9090: freePort() };
  #processes = new Map<string, Deno.ChildProcess>();

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** A text of the page with the ports of this run. */
  placed(text: string): string {
    const ports = Object.entries(this.#ports);
    return ports.reduce((text, [port, own]) => text.replaceAll(new RegExp(`\\b${port}\\b`, "g"), String(own)), text);
  }

  async save(file: string, text: string): Promise<void> {
    const rules = fileURLToPath(new URL("monitoring/rules.yml", root));
    await writeFiles(this.#folder, new Map([[file, this.placed(text).replace("../monitoring/rules.yml", rules)]]));
  }

  /** Whether a command goes on until it is stopped; starts it, and waits until it works. */
  async begins(line: string): Promise<boolean> {
    const [program, ...args] = words(this.placed(line));
    if (program === "prometheus") {
      this.#start("prometheus", program, [...args, `--web.listen-address=127.0.0.1:${this.#ports[9090]}`]);
      await until(() => this.#answers(`http://127.0.0.1:${this.#ports[9090]}/-/ready`), "Prometheus answers", PATIENCE);
      return true;
    }
    if (program !== "npx") return false;
    assertEquals(args.slice(0, 4), ["--yes", "deno", "task", "example"], line);
    const [, ...task] = words(manifest.tasks.example.command);
    const port = args.find((arg) => arg.startsWith("--port="))?.slice("--port=".length) ?? String(this.#ports[8000]);
    // The task runs in the checkout, where a test writes nothing.
    const options = [`--port=${port}`, `--broker=sqlite:${join(this.#folder, "auction.db")}`];
    this.#start(port, Deno.execPath(), [...task, ...args.slice(4), ...options], fileURLToPath(root));
    await until(() => this.#answers(`http://127.0.0.1:${port}/livez`), "the example answers", PATIENCE);
    return true;
  }

  #start(name: string, program: string, args: string[], cwd = this.#folder): void {
    const silent = { stdin: "null", stdout: "null", stderr: "null" } as const;
    this.#processes.set(name, new Deno.Command(program, { args, cwd, ...silent }).spawn());
  }

  async #answers(url: string): Promise<boolean> {
    await sleep(100);
    try {
      const response = await fetch(url);
      await response.body?.cancel();
      return response.ok;
    } catch {
      return false;
    }
  }

  /** Runs a command that ends. @returns What it prints. */
  async run(line: string): Promise<string> {
    const [command, filter] = this.placed(line).split(" | ");
    const [program, ...args] = words(command!);
    if (program === "curl") {
      assertEquals([args.length, args[0]], [2, "-s"], line);
      const lines = (await (await fetch(args[1]!)).text()).split("\n");
      if (filter === undefined) return lines.join("\n");
      const [grep, pattern] = words(filter);
      assertEquals(grep, "grep", line);
      return lines.filter((line) => new RegExp(pattern!).test(line)).join("\n") + "\n";
    }
    assertEquals(program, "promtool", line);
    const { success, stdout, stderr } = await new Deno.Command("promtool", { args, cwd: this.#folder }).output();
    const [output, errors] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
    if (!success) throw new Error(`Cannot run ${line}: ${errors}`);
    return output!;
  }

  async stopPayment(): Promise<void> {
    await this.#end(String(this.#ports[8001]), "SIGINT");
  }

  async #end(name: string, signal: Deno.Signal): Promise<void> {
    const process = this.#processes.get(name);
    this.#processes.delete(name);
    process?.kill(signal);
    await process?.status;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const name of this.#processes.keys()) await this.#end(name, "SIGINT");
  }
}

/** Runs the commands again and again, until they print what the page shows: what Prometheus says needs time. */
async function becomes(shown: Fence, run: () => Promise<string>): Promise<void> {
  let wrong: string | undefined;
  const same = async () => {
    wrong = difference(shown, await run());
    if (wrong !== undefined) await sleep(500);
    return wrong === undefined;
  };
  await until(same, "the output is that of the page", PATIENCE).catch((cause) => {
    throw new Error(`${PAGE}:${shown.line}: ${wrong}`, { cause });
  });
}

// Windows cannot send Ctrl-C to a process.
const ignore = Deno.build.os === "windows";

Deno.test(`${PAGE}: its commands lead from nothing to a firing alert, and back`, { ignore }, async (test) => {
  const [before, section] = readPage(PAGE).split(SECTION);
  const text = before!.replaceAll(/[^\n]/g, "") + SECTION + section!.split("\n## ")[0];
  const stopAt = text.slice(0, text.indexOf(STOP_PAYMENT)).split("\n").length;
  assert(text.includes(STOP_PAYMENT));
  const folder = await Deno.makeTempDir({ prefix: "tidings-page-" });
  const met = new Set<string>();
  try {
    await using walk = new Walk(folder);
    let commands: string[] = [];
    let stopped = false;
    for (const fence of fencesOf(text)) {
      if (!stopped && fence.line > stopAt) {
        stopped = true;
        await test.step(STOP_PAYMENT, () => walk.stopPayment());
      }
      if (fence.language === "yaml") await walk.save(".tidings/prometheus.yml", fence.text);
      else if (fence.language === "text") {
        const shown = { ...fence, text: walk.placed(fence.text) };
        const run = async () => (await Promise.all(commands.map((line) => walk.run(line)))).join("");
        await test.step(commands.join("; "), () => becomes(shown, run));
      } else {
        commands = [];
        for (const line of fence.text.split("\n")) {
          if (NOT_HERE[line] !== undefined) met.add(line);
          else if (!await walk.begins(line)) {
            await test.step(line, async () => void await walk.run(line));
            commands.push(line);
          }
        }
      }
    }
    assertEquals([stopped, [...met]], [true, Object.keys(NOT_HERE)]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
