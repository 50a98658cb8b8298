/** What only agents have: policies of connections, connections, listeners in pods. */
import { listAt, textAt } from '../install/cluster.ts';
import { type ProxyDump, type Row, recordAt } from './dump.ts';

export const POLICY_COLUMNS = ['NAMESPACE', 'POLICY NAME', 'ACTION', 'SCOPE'];

export function policyRows({ json }: ProxyDump): readonly Row[] {
  return listAt(json, 'policies').map((policy) => {
    const namespace = textAt(policy, 'namespace');
    return {
      cells: [namespace, textAt(policy, 'name'), textAt(policy, 'action'), textAt(policy, 'scope')],
      data: policy,
      namespace,
    };
  });
}

export const CONNECTION_COLUMNS = [
  'WORKLOAD',
  'DIRECTION',
  'LOCAL',
  'REMOTE',
  'REMOTE TARGET',
  'PROTOCOL',
];

export function connectionRows({ json }: ProxyDump): readonly Row[] {
  return podsOf(json).flatMap(({ name, namespace, state }) =>
    (['inbound', 'outbound'] as const).flatMap((direction) =>
      listAt(state, 'connections', direction).map((connection): Row => {
        const source = textAt(connection, 'src');
        const original = textAt(connection, 'originalDst');
        const actual = textAt(connection, 'actualDst');
        const isInbound = direction === 'inbound';
        return {
          cells: [
            `${name}.${namespace}`,
            isInbound ? 'Inbound' : 'Outbound',
            isInbound ? actual : source,
            isInbound ? source : actual,
            isInbound ? '' : original,
            textAt(connection, 'protocol'),
          ],
          data: { workload: name, namespace, direction, source, original, actual },
          namespace,
        };
      }),
    ),
  );
}

export const AGENT_LISTENER_COLUMNS = ['WORKLOAD', 'ADDRESS', 'PORT', 'TYPE', 'STATE'];

/** The same in every captured pod's network. */
const LISTENERS = [
  ['127.0.0.1', 15_001, 'outbound, captured'],
  ['0.0.0.0', 15_006, 'inbound, plaintext'],
  ['0.0.0.0', 15_008, 'inbound, tunnel (HBONE)'],
] as const;

export function agentListenerRows({ json }: ProxyDump): readonly Row[] {
  return podsOf(json).flatMap(({ name, namespace, state }) =>
    LISTENERS.map(([address, port, type]) => ({
      cells: [`${name}.${namespace}`, address, String(port), type, textAt(state, 'state')],
      data: { workload: name, namespace, address, port, type, state: textAt(state, 'state') },
      namespace,
      ports: [port],
    })),
  );
}

function podsOf(json: unknown) {
  return Object.values(recordAt(json, 'workloadState')).map((state) => ({
    name: textAt(state, 'info', 'name'),
    namespace: textAt(state, 'info', 'namespace'),
    state,
  }));
}
