import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { errorsOf, type RuleRow } from '../testing/rule-table.ts';

const policy = (trafficPolicy: object) => ({ host: 'a', trafficPolicy });
const DESTINATION_RULE: readonly RuleRow[] = [
  ['subsets', { host: 'a', subsets: [{ name: 'v1', labels: { version: 'v1' } }] }, []],
  ['no host', { subsets: [] }, ['REQUIRED_FIELD spec.host']],
  [
    'a subset twice',
    {
      host: 'a',
      subsets: [
        { name: 'v1', labels: { a: 'b' } },
        { name: 'v1', labels: { a: 'b' } },
      ],
    },
    ['DUPLICATE spec.subsets[1].name'],
  ],
  ['an empty trafficPolicy', policy({}), ['REQUIRED_FIELD spec.trafficPolicy']],
  [
    'an empty pool',
    policy({ connectionPool: {} }),
    ['REQUIRED_FIELD spec.trafficPolicy.connectionPool'],
  ],
  [
    'a negative limit',
    policy({ connectionPool: { tcp: { maxConnections: -1 } } }),
    ['OUT_OF_RANGE spec.trafficPolicy.connectionPool.tcp.maxConnections'],
  ],
  [
    'a pool in quotes',
    policy({ connectionPool: { tcp: { maxConnections: '1' } } }),
    ['WRONG_TYPE spec.trafficPolicy.connectionPool.tcp.maxConnections'],
  ],
  [
    'both protocols at once',
    policy({ connectionPool: { http: { useClientProtocol: true, h2UpgradePolicy: 'UPGRADE' } } }),
    ['CONFLICTING_FIELDS spec.trafficPolicy.connectionPool.http.useClientProtocol'],
  ],
  [
    'an unknown balancer',
    policy({ loadBalancer: { simple: 'ROUNDROBIN' } }),
    ['INVALID_VALUE spec.trafficPolicy.loadBalancer.simple'],
  ],
  [
    'a balancer and a hash',
    policy({ loadBalancer: { simple: 'RANDOM', consistentHash: { useSourceIp: true } } }),
    ['CONFLICTING_FIELDS spec.trafficPolicy.loadBalancer.consistentHash'],
  ],
  [
    'a hash of nothing',
    policy({ loadBalancer: { consistentHash: {} } }),
    ['CONFLICTING_FIELDS spec.trafficPolicy.loadBalancer.consistentHash'],
  ],
  [
    'a table size that is no prime',
    policy({ loadBalancer: { consistentHash: { useSourceIp: true, maglev: { tableSize: 100 } } } }),
    ['INVALID_VALUE spec.trafficPolicy.loadBalancer.consistentHash.maglev.tableSize'],
  ],
  [
    'ISTIO_MUTUAL with a secret',
    policy({ tls: { mode: 'ISTIO_MUTUAL', credentialName: 'x' } }),
    ['CONFLICTING_FIELDS spec.trafficPolicy.tls.credentialName'],
  ],
  [
    'a port twice',
    policy({
      portLevelSettings: [
        { port: { number: 80 }, tls: {} },
        { port: { number: 80 }, tls: {} },
      ],
    }),
    ['DUPLICATE spec.trafficPolicy.portLevelSettings[1].port.number'],
  ],
  [
    '101 percent',
    policy({ outlierDetection: { maxEjectionPercent: 101 } }),
    ['OUT_OF_RANGE spec.trafficPolicy.outlierDetection.maxEjectionPercent'],
  ],
  [
    'selected clients exported',
    { ...policy({ tls: {} }), workloadSelector: { matchLabels: { a: 'b' } }, exportTo: ['*'] },
    ['CONFLICTING_FIELDS spec.exportTo'],
  ],
];

const TABLES = { DestinationRule: DESTINATION_RULE };
for (const [kind, table] of Object.entries(TABLES)) {
  describe(`rules of ${kind}`, () => {
    for (const [title, spec, says] of table) {
      it(`${says.length > 0 ? 'refuses' : 'accepts'} ${title}`, () => {
        assert.deepEqual(errorsOf(kind, spec), says);
      });
    }
  });
}
