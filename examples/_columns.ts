/**
 * Prints texts in lines of at most 80 columns.
 *
 * @module
 */
import { stripAnsiCode } from "@std/fmt/colors";

const COLUMNS = 80;

/** How many columns a text takes. Color codes take none. */
export function width(text: string): number {
  return stripAnsiCode(text).length;
}

/** Pads a text with spaces. */
export function pad(text: string, columns: number): string {
  return text + " ".repeat(Math.max(0, columns - width(text)));
}

/**
 * A text in lines of at most 80 columns, broken at spaces.
 *
 * @param text The text. A line break in it stays.
 * @param first What stands before the first line. The other lines begin in the same column.
 * @returns The lines. A word that is too long, such as a URL, has a line of its own.
 */
export function wrapped(text: string, first = ""): string {
  const indent = " ".repeat(width(first));
  const lines: string[] = [];
  for (const paragraph of text.split("\n")) {
    let line = "";
    for (const word of paragraph.split(" ")) {
      const longer = line === "" ? word : `${line} ${word}`;
      if (line === "" || width(indent) + width(longer) <= COLUMNS) line = longer;
      else {
        lines.push(line);
        line = word;
      }
    }
    lines.push(line);
  }
  return lines.map((line, nth) => (nth === 0 ? first : indent) + line).join("\n");
}

/** Prints a text in lines of at most 80 columns. */
export function say(text: string, first = ""): void {
  console.log(wrapped(text, first));
}
