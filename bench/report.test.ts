import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  type BenchResult,
  type Metric,
  ratiosOf,
  type Sample,
  valuesByRound,
} from './measure/result.ts';
import { rotated, runRounds } from './measure/rounds.ts';
import { cell, goalTable, suiteSection } from './report.ts';
import { table } from './report-table.ts';

const METRIC: Metric = { case: 'a', key: 'ms', title: 'A, ms', digits: 1, better: 'lower' };

function sample(subject: string, round: number, ms: number, stealShare = 0): Sample {
  const conditions = { stealShare, busyShare: 0.5, loadAverage: 1 };
  return { case: 'a', subject, round, values: { ms }, conditions };
}

function result(samples: readonly Sample[]): BenchResult {
  const subject = (name: string, title: string) => ({ name, title, version: '', note: 'a note' });
  return {
    suite: 'tunnel',
    startedAt: '2026-11-21T02:30:00.000Z',
    finishedAt: '2026-11-21T02:40:00.000Z',
    quick: false,
    machine: {
      ...{ kernel: '6', cpu: 'x', cores: 2, governor: 'unknown', memoryBytes: 1 },
      ...{ node: 'v26', commit: 'abc', loadAverage: [1, 1, 1] },
    },
    settings: { seconds: 4 },
    subjects: [subject('haproxy', 'HAProxy'), subject('ambit', 'Ambit')],
    skipped: [{ subject: 'envoy', reason: 'no\npip' }],
    metrics: [METRIC, { ...METRIC, key: 'never' }],
    samples,
    failures: [],
  };
}

describe('valuesByRound', () => {
  it('leaves out samples whose processor time went to others', () => {
    const made = result([sample('ambit', 0, 5), sample('ambit', 1, 6, 0.021)]);
    assert.deepEqual([...valuesByRound(made, 'ambit', METRIC)], [[0, 5]]);
  });
});

describe('suiteSection', () => {
  const text = suiteSection(
    result([
      ...[sample('haproxy', 0, 10), sample('ambit', 0, 20)],
      ...[sample('haproxy', 1, 20), sample('ambit', 1, 30), sample('ambit', 2, 40)],
    ]),
    '/x/2026-11-21-tunnel.json',
  );

  it('shows medians, ranges and ratios of the same round', () => {
    assert.match(text, /\| A, ms \| 15\.0 \[10\.0-20\.0\] \| 30\.0 \[20\.0-40\.0\] \|/);
    assert.match(text, /\| A, ms \| 1\.75 \[1\.50-2\.00\] \|/);
  });

  it('shows no row without numbers, and says what is missing', () => {
    assert.equal(text.match(/^\| A, ms/gm)?.length, 2);
    assert.match(text, /Not measured: envoy \(no pip\)/);
  });
});

describe('cell and table', () => {
  it('shows a dash for nothing and no range for one', () => {
    assert.equal(cell(undefined, 1), '-');
    assert.equal(cell({ median: 2, min: 2, max: 2, count: 1 }, 1), '2.0');
  });

  it('keeps a bar in a text from ending the cell', () => {
    assert.equal(table(['', 'b'], [['a|b', '1']]), '|  | b |\n| --- | ---: |\n| a\\|b | 1 |');
  });
});

describe('goalTable', () => {
  const goal = (ratio: number, more: Partial<Metric> = {}): string => {
    const metric = { ...METRIC, goals: [{ subject: 'ambit', peer: 'haproxy', ratio }], ...more };
    const samples = [0, 1].flatMap((round) => [
      sample('haproxy', round, 10),
      sample('ambit', round, 20 + round),
    ]);
    return goalTable({ ...result(samples), metrics: [metric] }).join('\n');
  };

  it('says whether a goal is met in the median, in all rounds, or by how much it is missed', () => {
    assert.match(goal(2.2), /\| Ambit \| 2\.05 \[2\.00-2\.10\] \| ≤ 2\.2 × HAProxy \| yes \|/);
    assert.match(goal(2.06), /\| yes, not in all rounds \|/);
    assert.match(goal(1), /\| no: 2\.05 times \|/);
    assert.match(goal(4.1, { better: 'higher' }), /≥ 4\.1 × HAProxy \| no: 2\.00 times \|/);
    assert.match(goal(2, { better: 'higher' }), /\| yes \|/);
  });

  it('compares with another case of the same subject', () => {
    const other = { subject: 'ambit', peer: 'ambit', case: 'a', ratio: 1.3 };
    const metric = { ...METRIC, case: 'b', goals: [other] };
    const of = (name: string, ms: number): Sample => ({ ...sample('ambit', 0, ms), case: name });
    const made = { ...result([of('a', 10), of('b', 12)]), metrics: [metric] };
    assert.match(goalTable(made).join('\n'), /\| 1\.20 \| ≤ 1\.3 × a \| yes \|/);
  });

  it('says nothing without numbers', () => {
    assert.deepEqual(goalTable(result([])), []);
  });
});

describe('what is above another', () => {
  it('is the difference of the same round', () => {
    const made = result([sample('haproxy', 0, 10), sample('ambit', 0, 13), sample('ambit', 1, 20)]);
    const above = { ...METRIC, above: 'haproxy' };
    assert.deepEqual([...valuesByRound(made, 'ambit', above)], [[0, 3]]);
    assert.deepEqual([...valuesByRound(made, 'haproxy', above)], []);
  });

  it('has no ratio where it is less than nothing', () => {
    const samples = [0, 1].flatMap((round) => [
      sample('direct', round, 10),
      sample('haproxy', round, round === 0 ? 12 : 9),
      sample('ambit', round, 13),
    ]);
    const above = { ...METRIC, above: 'direct' };
    assert.deepEqual(ratiosOf(result(samples), above, ['ambit', 'haproxy']), [1.5]);
  });
});

describe('runRounds', () => {
  it('starts each round with another subject and goes on after a failure', async () => {
    const order: string[] = [];
    const { samples, failures } = await runRounds({
      rounds: 2,
      cases: ['a'],
      subjectsOf: () => ['x', 'y', 'z'],
      measure: async (_case, subject) => {
        order.push(subject);
        if (subject === 'y') {
          throw new Error('broken');
        }
        return { ms: 1 };
      },
      onProgress: () => undefined,
      signal: new AbortController().signal,
    });
    assert.equal(order.join(''), 'xyzyzx');
    assert.equal(samples.length, 4);
    assert.deepEqual(
      failures.map(({ subject, reason }) => [subject, reason]),
      [
        ['y', 'broken'],
        ['y', 'broken'],
      ],
    );
  });

  it('counts nothing of the rounds before the first', async () => {
    const order: string[] = [];
    const { samples, failures } = await runRounds({
      ...{ rounds: 1, warmUpRounds: 1, cases: ['a', 'b'], subjectsOf: () => ['x', 'y'] },
      measure: async (name, subject) => {
        order.push(name + subject);
        if (order.length === 1) {
          throw new Error('cold');
        }
        return { ms: order.length };
      },
      onProgress: () => undefined,
      signal: new AbortController().signal,
    });
    assert.equal(order.join(' '), 'ax ay bx by ax ay bx by');
    assert.deepEqual(
      samples.map(({ round, values }) => [round, values['ms']]),
      [5, 6, 7, 8].map((ms) => [0, ms]),
    );
    assert.deepEqual(failures, []);
  });

  it('rotates an empty list too', () => {
    assert.deepEqual(rotated([], 3), []);
  });
});
