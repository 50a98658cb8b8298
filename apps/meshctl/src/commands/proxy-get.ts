/** `meshctl get proxies`: agents and waypoints, and what they have not acknowledged. */
import type { AdminProxy } from '@ambit/model';
import { getProxies } from '../admin-answers.ts';
import { proxyRow } from '../status/proxy-rows.ts';
import { type GetQuery, showView } from './get-query.ts';

export async function getProxiesView(query: GetQuery): Promise<void> {
  const { proxies, controller } = await getProxies(query.client);
  showView<AdminProxy>(
    {
      what: 'proxies',
      items: proxies,
      nameOf: ({ name }) => name,
      columns: ['PROXY', 'KIND', 'STATE', 'FOR', 'BEHIND', 'PODS', 'ADDRESS', 'RESOURCES'],
      rowOf: (proxy) => [
        ...proxyRow(proxy, controller.nowMs),
        proxy.address,
        proxy.subscriptions.map(({ type, resources }) => `${type} ${resources}`).join(', '),
      ],
    },
    query,
  );
}
