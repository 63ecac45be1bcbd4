import { assertEquals } from "@std/assert";
import { fileURLToPath } from "node:url";
import { inheritedImportFlags } from "../../offline/imports.ts";
import { RedisServer } from "../redis/_server.ts";
import manifest from "../../deno.json" with { type: "json" };
import { root } from "../structure/_imports.ts";
import { difference, fencesOf, readPage, words, writeFiles } from "./_markdown.ts";

const decode = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

/** Flags with which a child process in any directory resolves imports as the project does. */
export function projectFlags(): string[] {
  return [`--config=${fileURLToPath(new URL("deno.json", root))}`, ...inheritedImportFlags()];
}

/**
 * Follows a page from top to bottom, in an empty directory and with a Redis server of its own. Saves each program in the
 * file that the page names, runs programs without a file name and all commands, and compares their output with the page.
 *
 * @param notHere Commands of the page that are not run, each with the reason.
 */
export async function runPage(
  test: Deno.TestContext,
  page: string,
  notHere: Readonly<Record<string, string>> = {},
): Promise<void> {
  await using server = await RedisServer.start();
  const directory = await Deno.makeTempDir({ prefix: "tidings-page-" });

  /** Runs a `deno run` of the page with this Deno, the project's imports and the port of the server. */
  const deno = async (args: readonly string[]): Promise<string> => {
    const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", ...projectFlags(), ...args.map((arg) => arg.replace("6379", String(server.port)))],
      cwd: directory,
      env: { NO_COLOR: "1" },
    }).output();
    if (!success) throw new Error(`Cannot run ${args.join(" ")}: ${decode(stderr)}`);
    return decode(stdout);
  };

  /** Runs the demo in the checkout, as its task does. */
  const demo = async (args: readonly string[]): Promise<string> => {
    const [, ...task] = words(manifest.tasks.demo.command);
    const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: [...task, ...args.map((arg) => arg.replace("6379", String(server.port)))],
      cwd: fileURLToPath(root),
      env: { NO_COLOR: "1" },
    }).output();
    if (!success) throw new Error(`Cannot run the demo: ${decode(stdout)}${decode(stderr)}`);
    return decode(stdout);
  };

  const run = async (line: string): Promise<string> => {
    const [program, ...args] = words(line);
    if (program === "redis-cli") return await server.cli(...args.slice(args[0] === "-p" ? 2 : 0)) + "\n";
    if (args.slice(0, 4).join(" ") === "--yes deno task demo") return await demo(args.slice(4));
    assertEquals([program, ...args.slice(0, 3)], ["npx", "--yes", "deno", "run"], line);
    return await deno(args.slice(3));
  };

  try {
    let printed = "";
    const met = new Set<string>();
    for (const fence of fencesOf(readPage(page))) {
      const place = `${page}:${fence.line}`;
      if (fence.language === "ts") {
        const file = fence.file ?? "snippet.ts";
        const text = fence.text.replaceAll("127.0.0.1:6379", `127.0.0.1:${server.port}`);
        await writeFiles(directory, new Map([[file, text]]));
        if (fence.file === undefined) await test.step(place, async () => void (printed = await deno(["-A", file])));
      } else if (fence.language === "sh") {
        printed = "";
        for (const line of fence.text.split("\n")) {
          const command = words(line).join(" ");
          if (notHere[command] !== undefined) met.add(command);
          else await test.step(line, async () => void (printed += await run(line)));
        }
      } else if (fence.language === "text") {
        const wrong = difference(fence, printed);
        if (wrong !== undefined) throw new Error(`${place}: ${wrong}`);
      }
    }
    assertEquals([...met], Object.keys(notHere), "the page has every command that is listed as not run");
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

/**
 * Runs the programs of a page, in an empty directory, and compares their output with the blocks that follow. Leaves out
 * commands.
 */
export async function runPrograms(test: Deno.TestContext, page: string): Promise<void> {
  const directory = await Deno.makeTempDir({ prefix: "tidings-page-" });
  try {
    let printed: string | undefined;
    for (const fence of fencesOf(readPage(page))) {
      const place = `${page}:${fence.line}`;
      if (fence.language === "ts") {
        await writeFiles(directory, new Map([["snippet.ts", fence.text]]));
        await test.step(place, async () => {
          const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
            args: ["run", "-A", ...projectFlags(), "snippet.ts"],
            cwd: directory,
            env: { NO_COLOR: "1" },
          }).output();
          if (!success) throw new Error(`Cannot run ${place}: ${decode(stderr)}`);
          printed = decode(stdout);
        });
      } else if (fence.language === "text" && printed !== undefined) {
        const wrong = difference(fence, printed);
        if (wrong !== undefined) throw new Error(`${place}: ${wrong}`);
        printed = undefined;
      }
    }
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}
