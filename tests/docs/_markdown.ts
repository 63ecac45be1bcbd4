import { dirname, join } from "node:path";
import { root } from "../structure/_imports.ts";

/** A fenced block of a Markdown page. */
export interface Fence {
  /** What stands behind the backticks: "ts", "sh", "text". */
  readonly language: string;
  /** What follows that: "unordered" where the order of the lines is not promised. */
  readonly info: string;
  readonly text: string;
  /** The file that the sentence in front of it says to save it as. */
  readonly file: string | undefined;
  /** Where it begins, counted from 1. */
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

/** The words of a command line; quotes hold words together, and what follows a # is a comment. */
export function words(line: string): string[] {
  return [...line.replace(/\s+#.*$/, "").matchAll(/'([^']*)'|"([^"]*)"|(\S+)/g)]
    .map(([, single, double, plain]) => single ?? double ?? plain!);
}

/** Says how output differs from what a page shows, where `…` stands for anything on its line; undefined if it does not. */
export function difference({ text: shown, info }: Fence, output: string): string | undefined {
  const [patterns, left] = [shown, output].map((text) => text.trim().split("\n").map((line) => line.trimEnd()));
  const told = `the page shows\n${shown}\n\nand it printed\n${output}`;
  for (const pattern of patterns!) {
    const expected = new RegExp(`^${pattern.split("…").map((part) => RegExp.escape(part)).join(".*")}$`);
    const at = left!.findIndex((line) => expected.test(line));
    if (at === -1 || at > 0 && info !== "unordered") return told;
    left!.splice(at, 1);
  }
  return left!.length === 0 ? undefined : told;
}

/** Writes files into a directory, making what they need. */
export async function writeFiles(directory: string, files: ReadonlyMap<string, string>): Promise<void> {
  for (const [name, text] of files) {
    const path = join(directory, name);
    await Deno.mkdir(dirname(path), { recursive: true });
    await Deno.writeTextFile(path, text);
  }
}
