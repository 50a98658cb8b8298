/** `meshctl get workloads`: pods and entries as the proxies know them. */
import type { GatewayAddress, Workload } from '@ambit/model';
import { getWorkloads } from '../admin-answers.ts';
import { type GetQuery, showView } from './get-query.ts';

export async function getWorkloadsView(query: GetQuery): Promise<void> {
  showView<Workload>(
    {
      what: 'workloads',
      items: await getWorkloads(query.client),
      nameOf: ({ name }) => name,
      namespaceOf: ({ namespace }) => namespace,
      columns: [
        'NAMESPACE',
        'NAME',
        'ADDRESS',
        'NODE',
        'TUNNEL',
        'ACCOUNT',
        'WAYPOINT',
        'GUARDED BY',
        'STATE',
      ],
      rowOf: (workload) => [
        workload.namespace,
        workload.name,
        workload.addresses[0] ?? workload.hostname,
        workload.node,
        workload.tunnelProtocol === 'HBONE' ? 'HBONE' : 'none',
        workload.serviceAccount,
        describeWaypoint(workload.waypoint),
        workload.guard?.exclusive === true ? workload.guard.because.join(' ') : '',
        workload.status === 'HEALTHY' ? 'ready' : 'not ready',
      ],
    },
    query,
  );
}

/** `namespace/name`, or the address. */
export function describeWaypoint(gateway: GatewayAddress | undefined): string {
  if (gateway === undefined) return '';
  const { destination } = gateway;
  if (destination.kind === 'address') return destination.address.address;
  const { namespace, hostname } = destination.hostname;
  return `${namespace}/${hostname.split('.')[0] ?? hostname}`;
}
