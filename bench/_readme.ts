import { fileURLToPath } from "node:url";
import type { Row } from "./_judge.ts";
import type { Machine } from "./_machine.ts";
import { heading, round } from "./_table.ts";

const BLOCK = /(<!-- bars -->\n)[^]*(<!-- \/bars -->)/;

/** Writes the goals of the design and the measured values into README.md. */
export async function writeBars(rows: readonly Row[], about: Machine, rounds: number): Promise<void> {
  const lines = rows.flatMap(({ group, name, bars }) =>
    bars.map(({ bar, measured, met }) =>
      `| ${group}: ${name} | ${bar} | ${met ? round(measured) : `**${round(measured)}, not met**`} |`
    )
  );
  const table = ["| row | goal | measured |", "| --- | --- | --- |", ...lines].join("\n");
  const file = fileURLToPath(new URL("README.md", import.meta.url));
  const text = await Deno.readTextFile(file);
  const block = `${heading(about)}; medians of ${rounds} rounds.\n\n${table}\n`;
  await Deno.writeTextFile(file, text.replace(BLOCK, (_, begin, end) => `${begin}\n${block}\n${end}`));
  await new Deno.Command(Deno.execPath(), { args: ["fmt", "--quiet", file] }).output();
}
