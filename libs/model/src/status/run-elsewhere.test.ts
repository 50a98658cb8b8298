/** What the Gateway of a waypoint behind its agent says of it. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { MeshObject } from '@ambit/api';

import { reasons } from '../mesh.testing.ts';
import type { MeshModel } from '../mesh-model.ts';
import { modelOf } from '../objects.testing.ts';
import {
  BINDING,
  bound,
  FRONT,
  gatewayClass,
  made,
  other,
  proxy,
  SHOP,
  WORLD,
} from '../waypoint/behind-agent.testing.ts';

function programmed(model: MeshModel): string {
  const status = model.outputs.statuses.get('Gateway/shop/w');
  const found = status?.conditions.find(({ type }) => type === 'Programmed');
  return `${found?.status} ${found?.reason}`;
}

describe('the Gateway of a waypoint behind its agent', () => {
  const none = { 'istio.io/dataplane-mode': 'none' };
  const rows: readonly (readonly [string, string, readonly MeshObject[]])[] = [
    ['its pods run', 'True Programmed', [made('PROXY/15088'), proxy()]],
    ['it is of another class', 'True Programmed', [other('PROXY/15088'), proxy()]],
    ['there is no pod', 'False InstanceNotFound', [made('PROXY/15088')]],
    ['no agent is there', 'False NotEnrolled', [made('PROXY/15088'), proxy(none)]],
    [
      'its pods are somebody else',
      'False WrongServiceAccount',
      [made('PROXY/15088'), proxy({}, { account: 'other' })],
    ],
    ['none is ready', 'False Pending', [made('PROXY/15088'), proxy({}, { ready: false })]],
    [
      'nobody is at its address',
      'False AddressNotFound',
      [made('PROXY/15088', { addresses: [{ type: 'IPAddress', value: '10.9.9.9' }] }), proxy()],
    ],
    ['its binding is unknown', 'False InvalidBinding', [bound(other(), '15088'), proxy()]],
  ];
  for (const [title, expected, objects] of rows) {
    it(`says ${expected} where ${title}`, () => {
      assert.equal(programmed(modelOf(SHOP, FRONT, ...objects)), expected);
    });
  }

  it('names object, path, what was found, what may be written and what to write', () => {
    const model = modelOf(...WORLD, other(), bound(gatewayClass('other'), 'PROXY/15008'));
    const [finding] =
      model.outputs.statuses
        .get('Gateway/shop/w')
        ?.findings.filter(({ code }) => code === 'WAYPOINT_BINDING') ?? [];
    assert.match(finding?.message ?? '', /^GatewayClass\/other metadata\.annotations\["ambient/);
    assert.equal(finding?.path, `metadata.annotations["${BINDING}"]`);
    assert.equal(finding.found, '"PROXY/15008"');
    assert.match(finding.allowed ?? '', /PROXY\/PORT/);
    assert.match(finding.fix ?? '', /PROXY\/15088/);
  });

  it('is not served without a binding, where its class is another', () => {
    assert.deepEqual(reasons(modelOf(SHOP, other()), 'Gateway/shop/w'), [
      'Accepted=False UnsupportedClass',
    ]);
  });
});
