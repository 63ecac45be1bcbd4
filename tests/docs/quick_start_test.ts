import { assertEquals } from "@std/assert";
import { inheritedImportFlags } from "../../offline/imports.ts";
import { RedisServer } from "../redis/_server.ts";
import { root } from "../structure/_imports.ts";
import { difference, fencesOf, readPage, words, writeFiles } from "./_markdown.ts";

const PAGE = "docs/QUICK_START.md";

/** Commands that are not run here, and why. */
const NOT_HERE: Readonly<Record<string, string>> = {
  "npx --yes deno task demo": "tests/examples runs it",
  "docker compose up -d redis": "it takes a Docker daemon; the server below stands for it",
  "redis-server --port 6379 --appendonly yes": "the server of this test, on a free port, stands for it",
  "npx --yes deno task demo --broker=redis://127.0.0.1:6379": "tests/redis runs the examples on Redis",
};

const decode = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

Deno.test("docs/QUICK_START.md shows what its commands print, on SQLite and on Redis", async (test) => {
  const fences = fencesOf(readPage(PAGE));
  await using server = await RedisServer.start();
  const directory = await Deno.makeTempDir({ prefix: "tidings-quick-" });
  const atServer = (text: string) => text.replaceAll("6379", String(server.port));

  /** Runs one command line of the page as it stands, but for the port, and with this Deno for `npx --yes deno`. */
  const run = async (line: string): Promise<string> => {
    const [program, ...args] = words(line);
    if (program === "redis-cli") return await server.cli(...args.slice(2)) + "\n";
    assertEquals([program, ...args.slice(0, 3)], ["npx", "--yes", "deno", "run"], line);
    const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", `--config=${new URL("deno.json", root).pathname}`, ...inheritedImportFlags(), ...args.slice(3)].map(
        atServer,
      ),
      cwd: directory,
      env: { NO_COLOR: "1" },
    }).output();
    if (!success) throw new Error(`Cannot run ${line}: ${decode(stderr)}`);
    return decode(stdout);
  };

  try {
    let printed = "";
    const met = new Set<string>();
    for (const fence of fences) {
      if (fence.language === "ts") {
        if (fence.file === undefined) throw new Error(`${PAGE}:${fence.line}: no sentence says where to save it`);
        await writeFiles(directory, new Map([[fence.file, fence.text]]));
      } else if (fence.language === "sh") {
        printed = "";
        for (const line of fence.text.split("\n")) {
          const command = words(line).join(" ");
          if (NOT_HERE[command] !== undefined) met.add(command);
          else await test.step(line, async () => void (printed += await run(line)));
        }
      } else {
        assertEquals(fence.language, "text");
        const wrong = difference(fence, printed);
        if (wrong !== undefined) throw new Error(`${PAGE}:${fence.line}: ${wrong}`);
      }
    }
    assertEquals([...met], Object.keys(NOT_HERE), "the list of what is not run here is that of the page");
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
