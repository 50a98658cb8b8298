import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { OutlierDetection } from '@ambit/api';
import fc from 'fast-check';
import { CircuitBreaker } from './circuit-breaker.ts';
import type { OutlierOutcome } from './outlier.ts';
import { OutlierState } from './outlier.ts';

const SETTINGS: OutlierDetection = {
  consecutive5xxErrors: 3,
  consecutiveGatewayErrors: 0,
  splitExternalLocalOriginErrors: false,
  consecutiveLocalOriginFailures: 2,
  intervalMs: 10_000,
  baseEjectionTimeMs: 30_000,
  maxEjectionPercent: 50,
  minHealthPercent: 0,
};
const ok: OutlierOutcome = { kind: 'response', status: 200 };
const error: OutlierOutcome = { kind: 'response', status: 500 };
const gateway: OutlierOutcome = { kind: 'response', status: 503 };
const local: OutlierOutcome = { kind: 'local-origin-failure' };

function state(over: Partial<OutlierDetection> = {}, hosts = ['a', 'b']): OutlierState {
  const outliers = new OutlierState({ ...SETTINGS, ...over });
  outliers.setHosts(hosts);
  return outliers;
}

/** Whether the last outcome ejected. */
function ejects(outliers: OutlierState, outcomes: readonly OutlierOutcome[], nowMs = 0): boolean {
  return outcomes.map((outcome) => outliers.record('a', outcome, nowMs)).at(-1) !== undefined;
}

describe('OutlierState', () => {
  for (const [title, over, outcomes, expected] of [
    ['3 errors in a row', {}, [error, error, error], true],
    ['2 errors', {}, [error, error], false],
    ['errors with a success between', {}, [error, error, ok, error], false],
    ['a 4xx is a success', {}, [error, error, { kind: 'response', status: 404 }, error], false],
    ['local failures count as 5xx', {}, [local, error, local], true],
    ['0 turns the detector off', { consecutive5xxErrors: 0 }, [error, error, error, error], false],
    ['gateway errors', { consecutiveGatewayErrors: 2 }, [gateway, gateway], true],
    [
      '500 is no gateway error',
      { consecutiveGatewayErrors: 2, consecutive5xxErrors: 0 },
      [gateway, error, gateway],
      false,
    ],
    [
      'split: local failures have a count of their own',
      { splitExternalLocalOriginErrors: true },
      [local, local],
      true,
    ],
    [
      'split: local failures do not count as 5xx',
      { splitExternalLocalOriginErrors: true, consecutiveLocalOriginFailures: 9 },
      [local, local, local, local],
      false,
    ],
  ] as const) {
    it(`${expected ? 'ejects' : 'keeps'}: ${title}`, () => {
      assert.equal(ejects(state(over), outcomes), expected);
    });
  }

  it('with the default of 10 % and fewer than 10 endpoints nothing is ever ejected', () => {
    const nine = Array.from({ length: 8 }, (_, index) => `h${index}`);
    const outliers = state({ maxEjectionPercent: 10 }, ['a', ...nine]);
    assert.equal(ejects(outliers, [error, error, error]), false);
    assert.equal(outliers.skippedCount, 1);
    outliers.setHosts(['a', ...nine, 'h9']);
    assert.equal(ejects(outliers, [error, error, error]), true);
  });

  it('lets back in at a sweep after base × ejections, and forgives one an interval', () => {
    const outliers = state();
    assert.equal(ejects(outliers, [error, error, error], 0), true);
    assert.deepEqual(outliers.sweep(29_999), []);
    assert.equal(outliers.isEjected('a'), true);
    assert.deepEqual(outliers.sweep(30_000), ['a']);
    assert.equal(ejects(outliers, [error, error], 30_000), false);
    assert.equal(ejects(outliers, [error], 30_000), true);
    assert.deepEqual(outliers.sweep(60_000), []);
    assert.deepEqual(outliers.sweep(90_000), ['a']);
    for (let sweep = 0; sweep < 2; sweep += 1) outliers.sweep(100_000);
    const again = [error, error, error].map((outcome) => outliers.record('a', outcome, 200_000));
    assert.equal(again.at(-1)?.untilMs, 230_000);
  });

  it('ejects for 300 s at most, or for the base when that is longer', () => {
    const outliers = state({ baseEjectionTimeMs: 200_000 });
    ejects(outliers, [error, error, error], 0);
    outliers.sweep(200_000);
    const second = [error, error, error].map((outcome) => outliers.record('a', outcome, 200_000));
    assert.equal(second.at(-1)?.untilMs, 500_000);
  });

  it('forgets endpoints that went away, ejected or not', () => {
    const outliers = state();
    ejects(outliers, [error, error, error]);
    assert.equal(outliers.ejectedCount, 1);
    outliers.setHosts(['b', 'c']);
    assert.equal(outliers.ejectedCount, 0);
    assert.equal(outliers.record('a', error, 0), undefined);
  });

  it('never ejects more than allowed, whatever happens', () => {
    const hosts = ['a', 'b', 'c', 'd', 'e'];
    const step = fc.tuple(
      fc.constantFrom(...hosts),
      fc.constantFrom(ok, error, gateway, local),
      fc.boolean(),
    );
    fc.assert(
      fc.property(
        fc.array(step, { maxLength: 200 }),
        fc.integer({ min: 0, max: 100 }),
        (steps, maxEjectionPercent) => {
          const outliers = state({ maxEjectionPercent, consecutiveGatewayErrors: 2 }, hosts);
          for (const [index, [key, outcome, isSweep]] of steps.entries()) {
            outliers.record(key, outcome, index * 1000);
            if (isSweep) outliers.sweep(index * 1000);
            const ejected = hosts.filter((host) => outliers.isEjected(host)).length;
            assert.equal(ejected, outliers.ejectedCount);
            assert.ok((100 * ejected) / hosts.length <= maxEjectionPercent);
          }
        },
      ),
    );
  });
});

describe('CircuitBreaker', () => {
  it('holds up to its limits and counts what it refused', () => {
    const breaker = new CircuitBreaker({
      tcp: { maxConnections: 1 },
      http: { http1MaxPendingRequests: 0, http2MaxRequests: 2 },
    });
    assert.equal(breaker.hold('connections'), true);
    assert.equal(breaker.hold('connections'), false);
    assert.equal(breaker.hold('pending'), false);
    assert.equal(breaker.hold('requests'), true);
    assert.equal(breaker.hold('requests'), true);
    assert.equal(breaker.hold('requests'), false);
    assert.equal(breaker.hold('retries'), true);
    breaker.release('requests');
    assert.equal(breaker.hold('requests'), true);
    assert.equal(breaker.overflows('requests'), 1);
    assert.equal(breaker.held('requests'), 2);
  });

  it('has a limit of retries of its own', () => {
    const breaker = new CircuitBreaker({ http: { maxRetries: 1 } });
    assert.deepEqual(
      [breaker.hold('retries'), breaker.hold('retries'), breaker.hold('requests')],
      [true, false, true],
    );
  });

  it('refuses to release what was not held', () => {
    const breaker = new CircuitBreaker({});
    assert.throws(() => breaker.release('requests'), RangeError);
  });
});
