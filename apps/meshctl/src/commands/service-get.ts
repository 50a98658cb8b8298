/** `meshctl get services`: hostnames, addresses, and how many endpoints may serve. */
import type { MeshService } from '@ambit/model';
import { getServices, getWorkloads } from '../admin-answers.ts';
import { type GetQuery, showView } from './get-query.ts';
import { describeWaypoint } from './workload-get.ts';

export async function getServicesView(query: GetQuery): Promise<void> {
  const items = await getServices(query.client);
  const counts = new Map<string, { ready: number; all: number }>();
  for (const { services, status } of await getWorkloads(query.client)) {
    for (const key of Object.keys(services)) {
      const count = counts.get(key) ?? { ready: 0, all: 0 };
      count.all += 1;
      if (status === 'HEALTHY') count.ready += 1;
      counts.set(key, count);
    }
  }
  const endpointsOf = ({ namespace, hostname }: MeshService): string => {
    const { ready, all } = counts.get(`${namespace}/${hostname}`) ?? { ready: 0, all: 0 };
    return `${ready}/${all}`;
  };
  showView<MeshService>(
    {
      what: 'services',
      items,
      nameOf: ({ name }) => name,
      namespaceOf: ({ namespace }) => namespace,
      columns: ['NAMESPACE', 'NAME', 'HOSTNAME', 'ADDRESSES', 'PORTS', 'ENDPOINTS', 'WAYPOINT'],
      rowOf: (service) => [
        service.namespace,
        service.name,
        service.hostname,
        service.addresses
          .map(({ address, length }) => (length === undefined ? address : `${address}/${length}`))
          .join(' '),
        service.ports
          .map(({ servicePort, appProtocol }) => `${servicePort}/${appProtocol}`)
          .join(' '),
        endpointsOf(service),
        describeWaypoint(service.waypoint),
      ],
    },
    query,
  );
}
