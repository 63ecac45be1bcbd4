import { fileURLToPath } from "node:url";

/** The result of the tests on one server. */
export interface Row {
  readonly name: string;
  readonly version: string;
  readonly passed: number;
  readonly failed: number;
  readonly ignored: number;
  readonly seconds: number;
}

const HEADINGS = ["server", "version", "passed", "failed", "ignored", "seconds"];
const BLOCK = /(<!-- servers -->\n)[^]*(<!-- \/servers -->)/;

/** A Markdown table with padded cells. */
export function tableOf(rows: readonly Row[]): string {
  const cells = rows.map(({ name, version, passed, failed, ignored, seconds }) =>
    [name, version, passed, failed, ignored, seconds.toFixed(0)].map(String)
  );
  const widths = HEADINGS.map((heading, at) =>
    Math.max(...[heading, ...cells.map((row) => row[at]!)].map(({ length }) => length))
  );
  const line = (row: readonly string[]) =>
    `| ${row.map((cell, at) => at < 2 ? cell.padEnd(widths[at]!) : cell.padStart(widths[at]!)).join(" | ")} |`;
  const rule = widths.map((width, at) => at < 2 ? "-".repeat(width) : `${"-".repeat(width - 1)}:`);
  return [HEADINGS, rule, ...cells].map(line).join("\n");
}

/** Writes the table into docs/README_REDIS.md, with the date and the test files. */
export async function writeTable(rows: readonly Row[], files: readonly string[]): Promise<void> {
  const file = fileURLToPath(new URL("../../docs/README_REDIS.md", import.meta.url));
  const text = await Deno.readTextFile(file);
  if (!BLOCK.test(text)) {
    throw new Error(
      `Cannot write the table into ${file}: it has no <!-- servers --> comments; add them around the table`,
    );
  }
  const day = new Date().toISOString().slice(0, 10);
  const block = `${day}, Debian's builds, ${files.map((file) => `\`${file}\``).join(" ")}:\n\n${tableOf(rows)}\n`;
  await Deno.writeTextFile(file, text.replace(BLOCK, (_, begin, end) => `${begin}\n${block}\n${end}`));
  await new Deno.Command(Deno.execPath(), { args: ["fmt", "--quiet", file] }).output();
}
