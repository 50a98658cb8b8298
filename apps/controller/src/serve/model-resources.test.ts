import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type MeshObject, parseObject } from '@ambit/api';
import { MeshModel } from '@ambit/model';
import { loadContentHash, type ResourceChange, TYPE_URL, type XdsNode } from '@ambit/xds';

import { ModelResources } from './model-resources.ts';

const OPTIONS = {
  trustDomain: 'cluster.local',
  rootNamespace: 'istio-system',
  clusterDomain: 'cluster.local',
  clusterId: 'Kubernetes',
  network: '',
};

function object(kind: string, name: string, rest: object): MeshObject {
  const namespace = kind === 'Namespace' ? {} : { namespace: 'shop' };
  const parsed = parseObject({
    apiVersion: 'v1',
    kind,
    metadata: { name, uid: `uid-${name}`, ...namespace },
    ...rest,
  });
  assert.ok(parsed.object !== undefined, JSON.stringify(parsed.findings));
  return parsed.object;
}

const pod = (name: string, nodeName: string): MeshObject =>
  object('Pod', name, { spec: { nodeName, containers: [{ name: 'app' }] } });

function node(type: string, nodeName: string): XdsNode {
  const id = `${type}~10.0.0.1~p.istio-system~istio-system.svc.cluster.local`;
  const account = { namespace: 'istio-system', serviceAccount: 'ztunnel' };
  return { id, type, ip: '10.0.0.1', podName: 'p', ...account, nodeName, metadata: {} };
}

describe('ModelResources', () => {
  it('tells an agent of the pods of its node, and no one else', async () => {
    const model = new MeshModel(OPTIONS);
    const resources = new ModelResources(await loadContentHash());
    const changes: ResourceChange[] = [];
    resources.onChange((change) => changes.push(change));
    const apply = (batch: Parameters<MeshModel['apply']>[0]): void => {
      const delta = model.apply(batch);
      resources.update(model.outputs, delta);
    };
    const names = (type: string, nodeName: string) =>
      [...resources.resources(TYPE_URL.pod, node(type, nodeName)).keys()].sort();

    apply({ upserts: [object('Namespace', 'shop', {}), pod('a', 'node1'), pod('b', 'node2')] });
    assert.deepEqual(names('ztunnel', 'node1'), ['shop/a']);
    assert.deepEqual(names('ztunnel', 'node2'), ['shop/b']);
    assert.deepEqual(names('ztunnel', ''), []);
    assert.deepEqual(names('waypoint', 'node1'), []);

    changes.length = 0;
    apply({ upserts: [pod('c', 'node1')], removes: ['Pod/shop/b'] });
    assert.deepEqual(names('ztunnel', 'node1'), ['shop/a', 'shop/c']);
    assert.deepEqual(names('ztunnel', 'node2'), []);
    const told = changes.filter(({ typeUrl }) => typeUrl === TYPE_URL.pod);
    assert.deepEqual(told, [{ typeUrl: TYPE_URL.pod, names: new Set(['shop/c', 'shop/b']) }]);

    // Made anew under its name elsewhere, as a StatefulSet does.
    apply({ removes: ['Pod/shop/a'] });
    apply({ upserts: [pod('a', 'node2')] });
    assert.deepEqual(names('ztunnel', 'node1'), ['shop/c']);
    assert.deepEqual(names('ztunnel', 'node2'), ['shop/a']);
  });
});
