/** A line of a plot. */
export interface Line {
  readonly name: string;
  readonly points: readonly (readonly [x: number, y: number])[];
}

/** The texts and lines of a plot. */
export interface Plot {
  readonly title: string;
  readonly x: string;
  readonly y: string;
  readonly lines: readonly Line[];
}

const [WIDTH, HEIGHT] = [640, 360];
const [LEFT, RIGHT, TOP, BOTTOM] = [64, 40, 56, 56];
// Colours that are distinguishable with colour blindness, on white and on black.
const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7"];

/** Draws lines as SVG. The x axis is logarithmic; the y axis starts at zero, so that a constant cost is a flat line. */
export function plot({ title, x, y, lines }: Plot): string {
  const xs = [...new Set(lines.flatMap(({ points }) => points.map(([x]) => x)))].sort((a, b) => a - b);
  const [low, high] = [Math.log10(xs[0]!), Math.log10(xs.at(-1)!)];
  const ticks = ticksTo(Math.max(...lines.flatMap(({ points }) => points.map(([, y]) => y))));
  const top = ticks.at(-1)!;
  const atX = (value: number) => LEFT + (Math.log10(value) - low) / (high - low || 1) * (WIDTH - LEFT - RIGHT);
  const atY = (value: number) => HEIGHT - BOTTOM - value / top * (HEIGHT - TOP - BOTTOM);
  const text = (x: number, y: number, anchor: string, content: string, more = "") =>
    `<text x="${round(x)}" y="${round(y)}" text-anchor="${anchor}"${more}>${escape(content)}</text>`;
  const parts = [
    text(LEFT, 20, "start", title, ' class="title"'),
    text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 12, "middle", x),
    text(LEFT, 40, "start", y),
    ...ticks.map((tick) => `<path class="grid" d="M${LEFT} ${round(atY(tick))}H${WIDTH - RIGHT}"/>`),
    ...ticks.map((tick) => text(LEFT - 8, atY(tick) + 4, "end", String(tick))),
    ...xs.map((value) => text(atX(value), HEIGHT - BOTTOM + 20, "middle", value.toLocaleString("en"))),
    ...lines.flatMap(({ name, points }, index) => {
      const colour = COLOURS[index % COLOURS.length]!;
      const path = points.map(([x, y], i) => `${i === 0 ? "M" : "L"}${round(atX(x))} ${round(atY(y))}`).join("");
      const legend = WIDTH - RIGHT - 150 * (lines.length - 1 - index);
      return [
        `<path d="${path}" fill="none" stroke="${colour}" stroke-width="2"/>`,
        ...points.map(([x, y]) => `<circle cx="${round(atX(x))}" cy="${round(atY(y))}" r="3.5" fill="${colour}"/>`),
        text(legend, 40, "end", name, ` style="fill:${colour}"`),
      ];
    }),
  ];
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img">
<title>${escape(title)}</title>
<style>
text { font: 13px system-ui, sans-serif; fill: #333 } .title { font-weight: 600 } .grid { stroke: #8886 }
@media (prefers-color-scheme: dark) { text { fill: #ddd } }
</style>
${parts.join("\n")}
</svg>
`;
}

/** Round values from zero to at least `most`. */
function ticksTo(most: number): number[] {
  const rough = most / 4 || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((step) => step >= rough)!;
  return Array.from({ length: Math.ceil(most / step) + 1 }, (_, index) => Number((index * step).toPrecision(6)));
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

function escape(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}
