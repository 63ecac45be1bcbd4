import { bold, green, red, setColorEnabled } from "@std/fmt/colors";
import type { Row } from "./_judge.ts";
import type { Machine } from "./_machine.ts";

setColorEnabled(Deno.stdout.isTerminal() && !Deno.noColor);

/** Shows what is running, on one line that the next message overwrites. */
export function progress(text: string): void {
  if (!Deno.stderr.isTerminal()) return;
  const { columns } = Deno.consoleSize();
  Deno.stderr.writeSync(new TextEncoder().encode(`\r\x1b[K${text.slice(0, columns - 1)}`));
}

/** The machine and the versions, on one line. */
export function heading({ date, processor, memory, versions }: Machine): string {
  const all = Object.entries(versions).map(([name, version]) => `${name} ${version}`).join(", ");
  return `${date}, ${processor}, ${memory}; ${all}`;
}

/** Prints all rows, group by group. */
export function print(rows: readonly Row[], about: Machine, rounds: number): void {
  progress("");
  console.log(`${heading(about)}\nmedians of ${rounds} rounds, ratios inside each round`);
  for (const [group, members] of Map.groupBy(rows, (row) => row.group)) {
    console.log(`\n${bold(group)}`);
    const width = Math.max(...members.map(({ name }) => name.length));
    for (const row of members) printRow(row, width);
  }
  const notes = new Map(rows.filter(({ note }) => note !== undefined).map(({ name, note }) => [name, note]));
  if (notes.size > 0) console.log(`\n${bold("Notes")}`);
  for (const [name, note] of notes) console.log(`  ${name}: ${note}`);
}

function printRow({ name, figures, ratios, bars }: Row, width: number): void {
  const shown = Object.entries(figures).map(([figure, value]) =>
    FORMATS[figure]?.(value) ?? `${figure} ${round(value)}`
  );
  const compared = Object.entries(ratios).map(([other, ratio]) => `${ratio.toFixed(2)} × ${other}`);
  console.log(`  ${name.padEnd(width)}  ${shown.join("  ")}${compared.length > 0 ? `  ${compared.join(", ")}` : ""}`);
  for (const { bar, measured, met } of bars) {
    const verdict = met ? green("met") : red("not met");
    console.log(`  ${" ".repeat(width)}  goal ${bar}: ${verdict}, ${round(measured)}`);
  }
}

const FORMATS: Record<string, (value: number) => string> = {
  perSecond: (value) => `${(value / 1_000).toFixed(1).padStart(7)} k/s`,
  clientCpu: (value) => `client ${value.toFixed(1).padStart(5)} µs`,
  serverCpu: (value) => `server ${value.toFixed(1).padStart(5)} µs`,
  p50: (value) => `p50 ${value.toFixed(2)} ms`,
  p99: (value) => `p99 ${value.toFixed(2)} ms`,
  max: (value) => `max ${value.toFixed(1)} ms`,
};

/** A figure as text: without decimals from 100, otherwise with two. */
export function round(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toFixed(2);
}
