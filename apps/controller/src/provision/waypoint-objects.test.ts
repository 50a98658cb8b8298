import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseObject } from '@ambit/api';
import { waypointObjects } from './waypoint-objects.ts';

describe('waypointObjects', () => {
  for (const className of ['istio-waypoint', 'ambit-waypoint']) {
    it(`starts a waypoint of class ${className} as such`, () => {
      const objects = waypointObjects({
        namespace: 'shop',
        name: 'door',
        serviceAccount: 'door',
        className,
        onDemand: false,
        because: ['Gateway/shop/door'],
      });
      const parsed = objects.map((object) => parseObject(object).object);
      for (const object of parsed) {
        assert.equal(
          object?.metadata.labels['gateway.networking.k8s.io/gateway-class-name'],
          className,
        );
      }
      const deployment = parsed.find((object) => object?.kind === 'Deployment');
      assert.ok(deployment?.kind === 'Deployment');
      const [container] = deployment.spec.template.spec.containers;
      assert.deepEqual(
        container?.env.map(({ name, value }) => [name, value]),
        [
          ['GATEWAY', 'shop/door'],
          ['GATEWAY_CLASS', className],
        ],
      );
    });
  }

  it('tells a waypoint what its Service is called, where that is not its own name', () => {
    const objects = waypointObjects({
      namespace: 'shop',
      name: 'door',
      partName: 'front',
      serviceAccount: 'door',
      className: 'istio-waypoint',
      onDemand: false,
      because: ['Gateway/shop/door'],
    }).map((object) => parseObject(object).object);
    const deployment = objects.find((object) => object?.kind === 'Deployment');
    assert.ok(deployment?.kind === 'Deployment');
    const { env } = deployment.spec.template.spec.containers[0] ?? assert.fail();
    const [service] = objects.filter((object) => object?.kind === 'Service');
    assert.equal(env.find(({ name }) => name === 'GATEWAY_SERVICE')?.value, service?.metadata.name);
    assert.equal(service?.metadata.name, 'front');
  });

  it('carries the labels and annotations of its Gateway, and keeps those that find it', () => {
    const labels = { team: 'a', 'istio.io/dataplane-mode': 'ambient' };
    const objects = waypointObjects({
      namespace: 'shop',
      name: 'door',
      serviceAccount: 'door',
      className: 'istio-waypoint',
      onDemand: false,
      because: ['Gateway/shop/door'],
      infrastructure: { labels, annotations: { note: 'b' } },
    }).map((object) => parseObject(object).object);
    for (const object of objects) {
      assert.ok(object !== undefined);
      assert.equal(object.metadata.labels['team'], 'a', object.kind);
      assert.equal(object.metadata.annotations['note'], 'b', object.kind);
    }
    const deployment = objects.find((object) => object?.kind === 'Deployment');
    assert.ok(deployment?.kind === 'Deployment');
    const { metadata } = deployment.spec.template;
    assert.equal(metadata.labels['team'], 'a');
    assert.equal(metadata.annotations['note'], 'b');
    assert.equal(metadata.labels['istio.io/dataplane-mode'], 'none');
  });
});
