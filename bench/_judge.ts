import { BARS } from "./_bars.ts";
import { type Case, idOf, type Sample } from "./_case.ts";
import type { Results } from "./_runner.ts";
import { medianRatio, medians } from "./_stats.ts";

/** A row of the table. */
export interface Row {
  readonly group: string;
  readonly name: string;
  readonly count: number;
  /** The median of each figure. */
  readonly figures: Sample;
  /** How many times as fast as another row, inside the rounds. */
  readonly ratios: Readonly<Record<string, number>>;
  /** What DESIGN asks of it. */
  readonly bars: readonly { readonly bar: string; readonly measured: number; readonly met: boolean }[];
  readonly note?: string;
  readonly rounds: readonly Sample[];
}

/** Makes rows of samples. */
export function judge(cases: readonly Case[], results: Results): Row[] {
  return cases.map((each) => {
    const { group, name, count, note, against = [] } = each;
    const rounds = results.get(idOf(each))!;
    const figures = medians(rounds);
    const samplesOf = (name: string) => results.get(idOf({ group, name })) ?? [];
    const ratios = Object.fromEntries(
      against.map((other) => [other, medianRatio(rounds, samplesOf(other), "perSecond")]),
    );
    const bars = BARS.filter((bar) => bar.group.test(group) && bar.name.test(name)).flatMap((bar) => {
      const measured = bar.measure({ figures, ratios, rounds, samplesOf });
      return measured === undefined ? [] : [{ bar: bar.text, measured, met: bar.met(measured) }];
    });
    return { group, name, count, figures, ratios, bars, ...(note !== undefined && { note }), rounds };
  });
}
