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
  /** The throughput divided by that of other rows, by their names. */
  readonly ratios: Readonly<Record<string, number>>;
  /** The goals of the design for this row. */
  readonly bars: readonly { readonly bar: string; readonly measured: number; readonly met: boolean }[];
  readonly note?: string;
  readonly rounds: readonly Sample[];
}

/** Makes the rows of all cases that did not fail. */
export function judge(cases: readonly Case[], results: Results): Row[] {
  return cases.filter((each) => !results.failures.has(idOf(each))).map((each) => {
    const { group, name, count, note, against = [] } = each;
    const rounds = results.samples.get(idOf(each))!;
    const figures = medians(rounds);
    const samplesOf = (name: string) => results.samples.get(idOf({ group, name })) ?? [];
    const ratio = (other: string) => medianRatio(rounds, samplesOf(other), "perSecond");
    const bars = BARS.filter(({ row }) => row.test(idOf(each))).flatMap((bar) => {
      const measured = bar.measure({ figures, rounds, samplesOf });
      return measured === undefined ? [] : [{ bar: bar.text, measured, met: bar.met(measured) }];
    });
    const compared = against.filter((other) => samplesOf(other).length > 0);
    const ratios = Object.fromEntries(compared.map((other) => [other, ratio(other)]));
    return { group, name, count, figures, ratios, bars, ...(note !== undefined && { note }), rounds };
  });
}
