/**
 * `docs/benchmarks.md` from the latest result of each suite. Generated: edit this file, not that one.
 *
 * Every number of it comes from samples in `bench/results`; medians and ratios are made here.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import {
  type BenchResult,
  type Goal,
  type Metric,
  ratiosOf,
  STEAL_SHARE_MAX,
  type Subject,
  valuesByRound,
} from './measure/result.ts';
import { type Spread, spreadOf } from './measure/statistics.ts';
import type { ProfileResult } from './profile.ts';
import { type ModelResult, modelSection } from './report-model.ts';
import { profileSection } from './report-profile.ts';
import { table } from './report-table.ts';
import { introduction, misses } from './report-text.ts';

const ROOT = dirname(import.meta.dirname);
const RESULTS = join(import.meta.dirname, 'results');
const REPORT = join(ROOT, 'docs', 'benchmarks.md');
/** What ratios are made to. */
const BASE = 'haproxy';
const TITLES: Readonly<Record<string, string>> = {
  tunnel: 'Tunnel',
  waypoint: 'Waypoint',
  controller: 'Controller',
  cluster: 'Cluster',
};

/** Renders the report from the files in `bench/results`. */
export function writeReport(): void {
  const sections = Object.keys(TITLES).flatMap((suite) => {
    const file = latestResult(suite);
    return file === undefined ? [] : [suiteSection(readJson<BenchResult>(file), file)];
  });
  sections.push(misses());
  const profile = latestResult('profile');
  if (profile !== undefined) {
    sections.push(profileSection(readJson<ProfileResult>(profile), profile));
  }
  const model = latestResult('model');
  if (model !== undefined) {
    sections.push(modelSection(readJson<ModelResult>(model), model));
  }
  writeFileSync(REPORT, `${[introduction(), ...sections].join('\n\n')}\n`);
}

/** One suite as markdown: conditions, values, ratios, what to know about each subject. */
export function suiteSection(result: BenchResult, file: string): string {
  const { subjects } = result;
  const base = subjects.find(({ name }) => name === BASE);
  const compared = subjects.filter(({ name }) => name !== BASE && name !== 'direct');
  const rows = result.metrics.filter((metric) =>
    subjects.some(({ name }) => valuesByRound(result, name, metric).size > 0),
  );
  return [
    `## ${TITLES[result.suite] ?? result.suite}`,
    conditions(result, file),
    table(
      ['', ...subjects.map(({ title, version }) => `${title} ${version}`.trim())],
      rows.map((metric) => [
        metric.title,
        ...subjects.map(({ name }) => cell(valuesOf(result, name, metric), metric.digits)),
      ]),
    ),
    ...(base === undefined ? [] : [ratioTable(result, rows, base, compared)]),
    ...goalTable(result),
    notes(result),
  ].join('\n\n');
}

function ratioTable(
  result: BenchResult,
  rows: readonly Metric[],
  base: Subject,
  compared: readonly Subject[],
): string {
  const ratios = (name: string, metric: Metric): number[] =>
    ratiosOf(result, metric, [name, base.name]);
  return [
    `Ratios to ${base.title} in the same round (below 1 is less than ${base.title} takes):`,
    table(
      ['', ...compared.map(({ title }) => title)],
      rows
        .filter((metric) => compared.some(({ name }) => ratios(name, metric).length > 0))
        .map((metric) => [
          `${metric.title}${metric.better === 'higher' ? ' (more is better)' : ''}`,
          ...compared.map(({ name }) => cell(spreadOf(ratios(name, metric)), 2)),
        ]),
    ),
  ].join('\n\n');
}

/** Every goal that has numbers: the ratio of the same rounds, and by how much it is missed. */
export function goalTable(result: BenchResult): string[] {
  const titleOf = (name: string): string =>
    result.subjects.find((one) => one.name === name)?.title ?? name;
  const rows = result.metrics.flatMap((metric) =>
    (metric.goals ?? []).flatMap((goal) => {
      const baseCase = goal.case ?? metric.case;
      const ratios = ratiosOf(result, metric, [goal.subject, goal.peer], baseCase);
      const spread = spreadOf(ratios);
      if (spread === undefined) {
        return [];
      }
      const isMost = metric.better === 'lower';
      const peer = goal.peer === goal.subject ? baseCase : titleOf(goal.peer);
      const bound = `${isMost ? '≤' : '≥'} ${goal.ratio} × ${peer}`;
      return [
        [metric.title, titleOf(goal.subject), cell(spread, 2), bound, judge(spread, goal, isMost)],
      ];
    }),
  );
  return rows.length === 0 ? [] : ['Goals:', table(['', 'who', 'ratio', 'goal', 'met'], rows)];
}

function judge({ median, min, max }: Spread, { ratio }: Goal, isMost: boolean): string {
  const isMet = isMost ? median <= ratio : median >= ratio;
  const isAlways = isMost ? max <= ratio : min >= ratio;
  if (isMet) {
    return isAlways ? 'yes' : 'yes, not in all rounds';
  }
  const times = isMost ? median / ratio : ratio / median;
  return median > 0 || isMost ? `no: ${times.toFixed(2)} times` : 'no';
}

function conditions(result: BenchResult, file: string): string {
  const { machine, settings, samples } = result;
  const loads = spreadOf(samples.map((sample) => sample.conditions.loadAverage));
  const steals = spreadOf(samples.map((sample) => sample.conditions.stealShare * 100));
  const dropped = samples.filter((sample) => sample.conditions.stealShare > STEAL_SHARE_MAX).length;
  const rounds = new Set(samples.map((sample) => sample.round)).size;
  const fixed = Object.entries(settings).map(([name, value]) => `${name} ${value}`);
  return [
    `\`bench/results/${baseName(file)}\`, ${result.startedAt.slice(0, 16).replace('T', ' ')} UTC, commit ${machine.commit}.`,
    `Linux ${machine.kernel}, ${machine.cores} cores (${machine.cpu}), governor ${machine.governor}, Node ${machine.node}.`,
    `Rounds: ${rounds}, interleaved; load average ${cell(loads, 1)}, steal ${cell(steals, 2)} %, ${dropped} samples dropped for steal.`,
    ...(result.note === undefined ? [] : [`**${result.note}**`]),
    `Held fixed: ${fixed.join(', ')}.`,
    ...(result.quick
      ? ['**A quick run: it shows that the measurement works; its numbers mean nothing.**']
      : []),
  ].join('  \n');
}

function notes({ subjects, skipped, failures }: BenchResult): string {
  return [
    ...subjects.map(({ title, note }) => `- ${title}: ${note}.`),
    ...skipped.map(({ subject, reason }) => `- Not measured: ${subject} (${oneLine(reason)}).`),
    ...failures.map(
      ({ subject, case: name, round, reason }) =>
        `- Failed: ${subject}, ${name}, round ${round + 1}: ${oneLine(reason)}`,
    ),
  ].join('\n');
}

function valuesOf(result: BenchResult, subject: string, metric: Metric): Spread | undefined {
  return spreadOf([...valuesByRound(result, subject, metric).values()]);
}

/** `12.3 [11.9-13.0]`. */
export function cell(spread: Spread | undefined, digits: number): string {
  if (spread === undefined) {
    return '-';
  }
  const { median, min, max, count } = spread;
  const range = count === 1 ? '' : ` [${min.toFixed(digits)}-${max.toFixed(digits)}]`;
  return `${median.toFixed(digits)}${range}`;
}

/** The newest by the date in its name. */
function latestResult(suite: string): string | undefined {
  const wanted = new RegExp(`^\\d{4}-\\d{2}-\\d{2}-${suite}\\.json$`);
  const names = readdirSync(RESULTS).filter((name) => wanted.test(name));
  const last = names.sort().at(-1);
  return last === undefined ? undefined : join(RESULTS, last);
}

function readJson<T>(file: string): T {
  return JSON.parse(readFileSync(file, 'utf8')) as T;
}

function baseName(file: string): string {
  return file.slice(file.lastIndexOf('/') + 1);
}

function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, ' ').trim().slice(0, 200);
}
