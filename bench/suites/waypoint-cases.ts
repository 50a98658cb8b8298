/** What is measured of HTTP proxies, and the goals that Ambit sets itself for each. */
import type { Goal, Metric } from '../measure/result.ts';
import type { HttpCase, Way } from './waypoint-subjects.ts';

export const RATE_PER_SECOND = 1_000;
/** Of what the slowest proxy takes: two cores are then at about 60 %, with the generator. */
export const LOAD = { connections: 8, share: 0.2 } as const;

const WAY_TITLES: Readonly<Record<Way, string>> = {
  clear: 'clear text',
  mtls: 'mTLS from the client',
  chain: 'mTLS on both sides',
};

const saturated = (way: Way, http: 1 | 2): HttpCase => ({
  ...{ way, http, load: 'saturated', routes: 'few' },
});
const rate = (way: Way, http: 1 | 2): HttpCase => ({ ...saturated(way, http), load: 'rate' });
const share = (way: Way, http: 1 | 2): HttpCase => ({ ...saturated(way, http), load: 'share' });

export const HTTP_CASES: ReadonlyMap<string, HttpCase> = new Map<string, HttpCase>([
  ['idle', { way: 'chain', http: 1, load: 'idle', routes: 'few' }],
  ['clear-http1', saturated('clear', 1)],
  ['clear-http2', saturated('clear', 2)],
  ['mtls-http1', saturated('mtls', 1)],
  ['mtls-http2', saturated('mtls', 2)],
  ['chain-http1', saturated('chain', 1)],
  ['chain-http2', saturated('chain', 2)],
  ['load-clear-http1', share('clear', 1)],
  ['load-chain-http1', share('chain', 1)],
  ['load-chain-http2', share('chain', 2)],
  ['rate-clear-http1', rate('clear', 1)],
  ['rate-chain-http1', rate('chain', 1)],
  ['rate-chain-http2', rate('chain', 2)],
  ['many-clear-http1', { ...saturated('clear', 1), routes: 'many' }],
  ['many-chain-http1', { ...saturated('chain', 1), routes: 'many' }],
]);

const atMost = (subject: string, peer: string, ratio: number): Goal => ({ subject, peer, ratio });

/** Of CPU, by case. */
const GOALS: Readonly<Record<string, readonly Goal[]>> = {
  'clear-http1': [atMost('engine', 'envoy', 0.5), atMost('engine', 'nginx', 1.75)],
  'clear-http2': [atMost('engine', 'envoy', 0.63)],
  'chain-http1': [atMost('ambit', 'envoy', 0.57)],
  'chain-http2': [atMost('ambit', 'envoy', 0.53)],
  'rate-clear-http1': [atMost('engine', 'envoy', 0.5)],
  'rate-chain-http1': [atMost('ambit', 'envoy', 0.5)],
  'rate-chain-http2': [atMost('ambit', 'envoy', 0.6)],
  'many-clear-http1': [{ ...atMost('engine', 'engine', 1.3), case: 'clear-http1' }],
  'many-chain-http1': [{ ...atMost('ambit', 'ambit', 1.3), case: 'chain-http1' }],
};

export const HTTP_METRICS: readonly Metric[] = [...HTTP_CASES].flatMap(([name, what]) => {
  const { way, http, load, routes } = what;
  const version = http === 1 ? '1.1' : '2';
  const title = `HTTP/${version}, ${WAY_TITLES[way]}${routes === 'many' ? ', 2,000 routes' : ''}`;
  const metric = (
    key: string,
    text: string,
    digits: number,
    more: Partial<Metric> = {},
  ): Metric => ({
    ...{ case: name, key, title: `${title}: ${text}`, digits, better: 'lower' },
    ...more,
  });
  const goals = GOALS[name] ?? [];
  if (load === 'idle') {
    const goal = atMost('ambit', 'bare-node', 1.4);
    return [{ ...metric('residentMegabytes', '', 1), title: 'RSS, idle, MB', goals: [goal] }];
  }
  if (load === 'rate') {
    const added = { above: 'direct' } as const;
    const at = `${RATE_PER_SECOND}/s`;
    return [
      metric('cpus', `vCPU at ${at}`, 3, { goals }),
      metric('p50', `P50 at ${at}, added, ms`, 2, added),
      metric('p99', `P99 at ${at}, added, ms`, 2, added),
    ];
  }
  if (load === 'share') {
    const added = { above: 'direct' } as const;
    const at = '60 % of the machine';
    return [
      metric('perSecond', `requests offered per second at ${at}`, 0),
      metric('p50', `P50 at ${at}, added, ms`, 2, added),
      metric('p99', `P99 at ${at}, added, ms`, 2, added),
    ];
  }
  return [
    metric('cpuMsPer1000', 'CPU-ms per 1000 requests', 1, { goals }),
    metric('endsCpuMsPer1000', 'CPU-ms per 1000 of both tunnel ends', 1),
    metric('perSecond', 'requests per second', 0, { better: 'higher' }),
  ];
});
