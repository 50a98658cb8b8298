import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { errorsOf, type RuleRow } from '../testing/rule-table.ts';

const entry = (more: object) => ({
  hosts: ['api.example.com'],
  ports: [{ number: 443, name: 'tls', protocol: 'TLS' }],
  resolution: 'DNS',
  ...more,
});
const SERVICE_ENTRY: readonly RuleRow[] = [
  ['DNS', entry({}), []],
  ['no hosts', entry({ hosts: [] }), ['REQUIRED_FIELD spec.hosts']],
  [
    'a port twice',
    entry({
      ports: [
        { number: 1, name: 'a' },
        { number: 1, name: 'b' },
      ],
    }),
    ['DUPLICATE spec.ports[1].number'],
  ],
  [
    'a port name twice',
    entry({
      ports: [
        { number: 1, name: 'a' },
        { number: 2, name: 'a' },
      ],
    }),
    ['DUPLICATE spec.ports[1].name'],
  ],
  [
    'two ports without name',
    entry({ ports: [{ number: 1, name: 'a' }, { number: 2 }] }),
    ['REQUIRED_FIELD spec.ports[1].name'],
  ],
  [
    'an unknown protocol',
    entry({ ports: [{ number: 1, protocol: 'http' }] }),
    ['INVALID_VALUE spec.ports[0].protocol'],
  ],
  [
    'NONE with endpoints',
    entry({ resolution: 'NONE', endpoints: [{ address: '1.1.1.1' }] }),
    ['CONFLICTING_FIELDS spec.endpoints'],
  ],
  [
    'STATIC with a name',
    entry({ resolution: 'STATIC', endpoints: [{ address: 'a.b' }] }),
    ['INVALID_ADDRESS spec.endpoints[0].address'],
  ],
  [
    'STATIC with an address',
    entry({ resolution: 'STATIC', endpoints: [{ address: '1.1.1.1' }] }),
    [],
  ],
  [
    'a CIDR with DNS',
    entry({ addresses: ['10.0.0.0/8'] }),
    ['CONFLICTING_FIELDS spec.addresses[0]'],
  ],
  ['a wildcard with DNS', entry({ hosts: ['*.example.com'] }), ['INVALID_HOST spec.hosts[0]']],
  [
    'DYNAMIC_DNS without wildcard',
    entry({ resolution: 'DYNAMIC_DNS' }),
    ['INVALID_HOST spec.hosts[0]'],
  ],
  [
    'endpoints and a selector',
    entry({ endpoints: [{ address: '1.1.1.1' }], workloadSelector: { labels: { a: 'b' } } }),
    ['CONFLICTING_FIELDS spec.workloadSelector'],
  ],
  [
    'an endpoint port of no port',
    entry({ endpoints: [{ address: '1.1.1.1', ports: { x: 1 } }] }),
    ['UNKNOWN_PORT spec.endpoints[0].ports.x'],
  ],
];

const WORKLOAD_ENTRY: readonly RuleRow[] = [
  ['an address', { address: '10.0.0.1' }, []],
  ['a name', { address: 'vm.example.com' }, []],
  ['no address', {}, ['REQUIRED_FIELD spec.address']],
  ['a unix socket', { address: 'unix:///x' }, ['INVALID_ADDRESS spec.address']],
  [
    'a locality of four parts',
    { address: '10.0.0.1', locality: 'a/b/c/d' },
    ['INVALID_VALUE spec.locality'],
  ],
];

const TABLES = { ServiceEntry: SERVICE_ENTRY, WorkloadEntry: WORKLOAD_ENTRY };
for (const [kind, table] of Object.entries(TABLES)) {
  describe(`rules of ${kind}`, () => {
    for (const [title, spec, says] of table) {
      it(`${says.length > 0 ? 'refuses' : 'accepts'} ${title}`, () => {
        assert.deepEqual(errorsOf(kind, spec), says);
      });
    }
  });
}
