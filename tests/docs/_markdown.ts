import { dirname, join } from "node:path";
import { root } from "../structure/_imports.ts";

/** A fenced block of a Markdown page. */
export interface Fence {
  /** The word after the backticks: "ts", "sh", "text". */
  readonly language: string;
  /** The rest of that line: "unordered" if the lines may come in another order. */
  readonly info: string;
  readonly text: string;
  /** The file that the sentence before the block names. */
  readonly file: string | undefined;
  /** The line where it begins, counted from 1. */
  readonly line: number;
}

/** A page's text, by its path from the project's directory. */
export function readPage(page: string): string {
  return Deno.readTextFileSync(new URL(page, root));
}

/** All fenced blocks of a page, in order. */
export function fencesOf(text: string): Fence[] {
  const fences: Fence[] = [];
  const lines = text.split("\n");
  for (let at = 0; at < lines.length; at++) {
    const [, language, info] = /^```(\S*) ?(.*)/.exec(lines[at]!) ?? [];
    if (language === undefined) continue;
    const end = lines.indexOf("```", at + 1);
    if (end === -1) throw new Error(`Cannot read line ${at + 1}: its fence has no end`);
    const before = lines.slice(0, at).findLast((line) => line !== "") ?? "";
    fences.push({
      language,
      info: info!,
      text: lines.slice(at + 1, end).join("\n"),
      file: /`([\w./-]+\.ts)`[^`]*:$/.exec(before)?.[1],
      line: at + 1,
    });
    at = end;
  }
  return fences;
}

/** The text without its fenced blocks and inline code. */
export function prose(text: string): string {
  return text.replace(/^```[\s\S]*?^```$/gm, "").replace(/`[^`\n]*`/g, "");
}

/** The words of a command line, without quotes and without the comment after a #. */
export function words(line: string): string[] {
  return [...line.replace(/\s+#.*$/, "").matchAll(/'([^']*)'|"([^"]*)"|(\S+)/g)]
    .map(([, single, double, plain]) => single ?? double ?? plain!);
}

/** How output differs from the output that a page shows; undefined if it does not. `…` matches any text of a line. */
export function difference({ text: shown, info }: Fence, output: string): string | undefined {
  const [patterns, left] = [shown, output].map((text) => text.trim().split("\n").map((line) => line.trimEnd()));
  const message = `the page shows\n${shown}\n\nand it printed\n${output}`;
  for (const pattern of patterns!) {
    const expected = new RegExp(`^${pattern.split("…").map((part) => RegExp.escape(part)).join(".*")}$`);
    const at = left!.findIndex((line) => expected.test(line));
    if (at === -1 || at > 0 && info !== "unordered") return message;
    left!.splice(at, 1);
  }
  return left!.length === 0 ? undefined : message;
}

/** Writes files into a directory, and makes missing directories. */
export async function writeFiles(directory: string, files: ReadonlyMap<string, string>): Promise<void> {
  for (const [name, text] of files) {
    const path = join(directory, name);
    await Deno.mkdir(dirname(path), { recursive: true });
    await Deno.writeTextFile(path, text);
  }
}
