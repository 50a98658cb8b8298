/** Objects, statuses and the mesh as it was derived: what `meshctl get`, `why` and `status` read. */
import type { MeshObject, ObjectKey } from '@ambit/api';
import {
  type AdminObject,
  type AdminProxy,
  encodeSnapshot,
  meshSummary,
  type ObjectStatus,
  splitKey,
} from '@ambit/model';
import { type AdminRoute, jsonResponse } from '@ambit/telemetry';

import type { MeshStore } from '../index/mesh-store.ts';
import type { StatusBook } from '../status/status-book.ts';

export interface ObjectRouteSources {
  readonly store: MeshStore;
  readonly statuses: StatusBook;
  /** With what they have captured, of this replica and of others. */
  readonly proxies: () => readonly AdminProxy[];
  readonly wallNow: () => number;
}

export function objectRoutes(sources: ObjectRouteSources): readonly AdminRoute[] {
  const { store, statuses, proxies, wallNow } = sources;
  return [
    {
      method: 'GET',
      path: '/v1/objects',
      summary: 'objects and their conditions; params: kind, namespace',
      handle: ({ query }) => {
        const kind = query.get('kind');
        const namespace = query.get('namespace');
        const items = listObjects(sources).filter(({ key }) => {
          const parts = splitKey(key);
          return (
            (kind === null || parts.kind.toLowerCase() === kind.toLowerCase()) &&
            (namespace === null || parts.namespace === namespace)
          );
        });
        return jsonResponse({ items });
      },
    },
    {
      method: 'GET',
      path: '/v1/objects/*',
      summary: 'one object: KIND/NAMESPACE/NAME, or KIND/NAME',
      handle: ({ path }) => {
        const key = decodeURIComponent(path.slice('/v1/objects/'.length));
        const found = describe(key, store.objects.get(key), statuses.of(key));
        return found === undefined
          ? jsonResponse({ error: `no object "${key.slice(0, 200)}"` }, 404)
          : jsonResponse(found);
      },
    },
    {
      method: 'GET',
      path: '/v1/summary',
      summary: 'how many objects, enrolled namespaces, what is refused or not in force; bounded',
      handle: () =>
        jsonResponse(meshSummary(listObjects(sources), proxies(), store.options.revision)),
    },
    {
      method: 'GET',
      path: '/v1/snapshot',
      summary: 'the mesh as it was derived, for explanations',
      handle: () => {
        const { network, trustDomain, rootNamespace, clusterDomain } = store.options;
        const outputs = {
          ...store.model.outputs,
          statuses: new Map(statuses.all().map((status) => [status.key, status])),
        };
        const takenAtMs = wallNow();
        return jsonResponse(
          encodeSnapshot(outputs, {
            network,
            trustDomain,
            rootNamespace,
            clusterDomain,
            takenAtMs,
          }),
        );
      },
    },
    {
      method: 'GET',
      path: '/v1/workloads',
      summary: 'workloads as proxies have them',
      handle: () => {
        const items = [...store.model.outputs.addresses.values()].flatMap((address) =>
          address.kind === 'workload' ? [address.workload] : [],
        );
        return jsonResponse({ items });
      },
    },
    {
      method: 'GET',
      path: '/v1/services',
      summary: 'services as proxies have them',
      handle: () => {
        const items = [...store.model.outputs.addresses.values()].flatMap((address) =>
          address.kind === 'service' ? [address.service] : [],
        );
        return jsonResponse({ items });
      },
    },
  ];
}

function listObjects({
  store,
  statuses,
}: Pick<ObjectRouteSources, 'store' | 'statuses'>): readonly AdminObject[] {
  const known = new Map(statuses.all().map((status) => [status.key, status]));
  const keys = new Set([...store.objects.keys(), ...known.keys()]);
  return [...keys]
    .sort()
    .flatMap((key) => describe(key, store.objects.get(key), known.get(key)) ?? []);
}

function describe(
  key: ObjectKey,
  object: MeshObject | undefined,
  status: ObjectStatus | undefined,
): AdminObject | undefined {
  if (object === undefined && status === undefined) return undefined;
  return {
    key,
    ...(object === undefined ? {} : { object }),
    ...(status === undefined ? {} : { status }),
  };
}
