import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { MeshDelta, MeshOutputs } from '@ambit/model';
import {
  BEHIND,
  condition,
  IN_FORCE,
  NO_CHANGE,
  NODE,
  OUTSIDE,
  REFUSED,
  replica,
  type StreamState,
  stream,
  unattached,
  WAITS,
} from './enforcement.testing.ts';
import { Enforcement } from './enforcement.ts';

describe('Enforcement', () => {
  const cases: readonly (readonly [string, Parameters<typeof condition>[0], string])[] = [
    [
      'everyone has it',
      { streams: [IN_FORCE, { ...IN_FORCE, pod: 'a2' }] },
      'True Enforced: acknowledged by 2 proxies',
    ],
    [
      'one settled since',
      { streams: [{ ...BEHIND, isSettled: true }] },
      'True Enforced: acknowledged by 1 proxy',
    ],
    [
      'one is behind',
      { streams: [IN_FORCE, BEHIND] },
      'Unknown Waiting: 1 of 2 proxies have not acknowledged: b',
    ],
    ['one refuses', { streams: [IN_FORCE, BEHIND, REFUSED] }, 'False Refused: c: bad rule'],
    [
      'an agent is away',
      { streams: [IN_FORCE], unreachable: [NODE] },
      'Unknown Unreachable: 1 of 2 proxies cannot be reached: node-agent node9',
    ],
    [
      'a refusal weighs more than an absence',
      { streams: [REFUSED], unreachable: [NODE] },
      'False Refused: c: bad rule',
    ],
    [
      'everyone has it and none of its workloads is in the mesh',
      { streams: [IN_FORCE], conditions: [OUTSIDE] },
      'False NotEnrolled: nobody',
    ],
    [
      'everyone has it and a pod in its scope is not captured',
      { streams: [IN_FORCE], findings: [{ code: 'NOT_CAPTURED', message: 'Pod/shop/a' }] },
      'False NotCaptured: Pod/shop/a',
    ],
    [
      'nobody can tell whether a pod is captured',
      {
        streams: [IN_FORCE],
        unreachable: [NODE],
        findings: [{ code: 'NOT_CAPTURED', message: 'Pod/shop/a' }],
      },
      'Unknown NotCaptured: Pod/shop/a, or whoever has cannot say so: node9 cannot be reached',
    ],
    [
      'agents see a waypoint of another mesh in place of its callers',
      {
        streams: [IN_FORCE],
        findings: [{ code: 'CALLER_HIDDEN', message: 'callers of x', fix: 'target it' }],
      },
      'False CallerHidden: callers of x; target it',
    ],
    [
      'no waypoint is made for what it targets',
      { streams: [], findings: [{ code: 'WAYPOINT_NOT_MADE', message: 'none for x' }] },
      'False WaypointNotMade: none for x',
    ],
    [
      'everyone has it and nobody looks at tokens',
      { streams: [IN_FORCE], findings: [{ code: 'TOKENS_UNCHECKED', message: 'not yet' }] },
      'False TokensUnchecked: not yet',
    ],
    // Each said True once every proxy had acknowledged it.
    ...['NoEffect', 'TargetNotFound', 'NamespaceForeign', 'Conflicted'].map(
      (reason): readonly [string, Parameters<typeof condition>[0], string] => [
        `everyone has it and it is attached to nothing: ${reason}`,
        { streams: [IN_FORCE], conditions: [unattached(reason)] },
        'False NotAttached: not attached: why',
      ],
    ),
    [
      'everyone has a version before the one that is not accepted',
      {
        streams: [IN_FORCE],
        conditions: [{ type: 'Accepted', status: 'False', reason: 'Invalid', message: 'bad' }],
      },
      'False NotAccepted: not accepted: bad',
    ],
    [
      'not everyone has what is attached to nothing',
      { streams: [IN_FORCE, BEHIND], conditions: [unattached('NoEffect')] },
      'False NotAttached: not attached: why',
    ],
    [
      'a refusal weighs more than that it is attached to nothing',
      { streams: [REFUSED], conditions: [unattached('NoEffect')] },
      'False Refused: c: bad rule',
    ],
    [
      'it is attached',
      {
        streams: [IN_FORCE],
        conditions: [{ type: 'Attached', status: 'True', reason: 'AtAgents', message: '' }],
      },
      'True Enforced: acknowledged by 1 proxy',
    ],
    ['nobody is there', { streams: [] }, 'Unknown NoProxy: no proxy is connected'],
    [
      'its waypoint is not there',
      { streams: [IN_FORCE], inScope: true },
      'Unknown Unreachable: 1 of 2 proxies cannot be reached: waypoint shop/waypoint',
    ],
    [
      'its waypoint has it too',
      { streams: [IN_FORCE, { ...IN_FORCE, pod: 'w', type: 'waypoint' }], inScope: true },
      'True Enforced: acknowledged by 2 proxies',
    ],
    [
      'its waypoint is behind',
      { streams: [IN_FORCE, { ...BEHIND, pod: 'w', type: 'waypoint' }], inScope: true },
      'Unknown Waiting: 1 of 2 proxies have not acknowledged: w',
    ],
    [
      'a waypoint that it does not concern is behind',
      { streams: [IN_FORCE, { ...BEHIND, pod: 'w', type: 'waypoint' }] },
      'True Enforced: acknowledged by 1 proxy',
    ],
  ];
  const elsewhere: typeof cases = [
    [
      'those of another replica have it',
      { streams: [IN_FORCE], remote: [replica(['x', 'y'], {})] },
      'True Enforced: acknowledged by 3 proxies',
    ],
    [
      'only another replica has proxies',
      { streams: [], remote: [replica(['x'], {})] },
      'True Enforced: acknowledged by 1 proxy',
    ],
    [
      'one of another replica waits',
      { streams: [IN_FORCE], remote: [replica(['x', 'y'], WAITS)] },
      'Unknown Waiting: 1 of 3 proxies have not acknowledged: x',
    ],
    [
      'one of another replica refuses',
      {
        streams: [IN_FORCE],
        remote: [replica(['x'], { refused: 1, refusals: ['x: bad rule'] })],
      },
      'False Refused: x: bad rule',
    ],
    [
      'another replica speaks of an earlier version',
      { streams: [IN_FORCE], remote: [replica(['x'], { generation: 6 })] },
      'Unknown Waiting: 1 of 2 proxies have not acknowledged: x',
    ],
    [
      'another replica does not know it',
      { streams: [IN_FORCE], remote: [replica(['x'], undefined)] },
      'Unknown Waiting: 1 of 2 proxies have not acknowledged: x',
    ],
    [
      'another replica knows nothing and has nobody',
      { streams: [IN_FORCE], remote: [replica([], undefined)] },
      'True Enforced: acknowledged by 1 proxy',
    ],
    [
      'the one that waits there is here by now',
      { streams: [{ ...IN_FORCE, pod: 'x' }], remote: [replica(['x'], WAITS, { isHeard: false })] },
      'Unknown Unreachable: what proxies of other replicas have cannot be asked: controller-2',
    ],
    [
      'another replica is lost with its proxies',
      { streams: [IN_FORCE], remote: [replica(['x'], {}, { isHeard: false })] },
      'Unknown Unreachable: 1 of 2 proxies cannot be reached: node-agent x',
    ],
    [
      'another replica starts and was never heard',
      {
        streams: [IN_FORCE],
        remote: [replica([], undefined, { isHeard: false, isServing: false })],
      },
      'True Enforced: acknowledged by 1 proxy',
    ],
    [
      'its waypoint has a stream elsewhere',
      {
        streams: [IN_FORCE],
        inScope: true,
        remote: [replica(['w'], {}, { waypoint: 'shop/waypoint' })],
      },
      'True Enforced: acknowledged by 2 proxies',
    ],
    [
      'a waypoint elsewhere that it does not concern waits',
      { streams: [IN_FORCE], remote: [replica(['w'], WAITS, { waypoint: 'shop/waypoint' })] },
      'True Enforced: acknowledged by 1 proxy',
    ],
  ];
  for (const [title, options, expected] of [...cases, ...elsewhere]) {
    it(`says ${expected.split(':')[0] ?? ''} when ${title}`, () => {
      assert.equal(condition(options), expected);
    });
  }

  it('does not count a refusal of an earlier version', () => {
    const old = {
      pod: 'c',
      acked: { 'shop/p': 'v2' },
      rejected: { 'shop/p': { version: 'v1', reason: 'x' } },
    };
    assert.match(condition({ streams: [old] }), /^True Enforced/);
  });
});

describe('Enforced, where no waypoint follows', () => {
  const says = (key: string, waypointReady: string, ...more: readonly object[]): string => {
    const ready = { type: 'WaypointReady', reason: waypointReady, message: 'why' };
    const conditions = [{ type: 'Accepted' }, ready, ...more];
    const outputs = {
      statuses: new Map([[key, { key, conditions, findings: [] }]]),
      scopes: new Map(),
      objects: new Map([[key, {}]]),
    } as unknown as MeshOutputs;
    const enforcement = new Enforcement({
      outputs: () => outputs,
      generation: () => 1,
      version: () => 'v2',
      streams: () => [stream({ pod: 'a', acked: { 'shop/p': 'v2', 'shop/r': 'v2' } })],
      unreachable: () => [],
      waypointOf: () => undefined,
    });
    enforcement.note(new Set([key]), NO_CHANGE as unknown as MeshDelta);
    enforcement.evaluate();
    const found = enforcement.conditions.get(key);
    return `${found?.status} ${found?.reason}: ${found?.message}`;
  };

  // All but the first said True once every agent had the route.
  for (const reason of [
    'WaypointBehindAgent',
    'WaypointOptedOut',
    'WaypointNotFound',
    'WaypointForeign',
    'NamespaceForeign',
    'AttachmentDenied',
    'UnsupportedTrafficType',
  ]) {
    it(`is False of a route, which goes by none: ${reason}`, () => {
      for (const kind of ['HTTPRoute', 'GRPCRoute', 'TCPRoute']) {
        assert.equal(says(`${kind}/shop/r`, reason), `False ${reason}: why`, kind);
      }
      for (const kind of ['VirtualService', 'DestinationRule']) {
        assert.equal(says(`${kind}/shop/r`, reason), `False ${reason}: why`, kind);
      }
    });

    it(`is True of a policy, which agents keep by refusing: ${reason}`, () => {
      assert.match(says('AuthorizationPolicy/shop/p', reason), /^True Enforced/);
    });
  }

  it('is True of a route whose waypoint is ready, and waits for one that is not', () => {
    assert.match(says('HTTPRoute/shop/r', 'WaypointReady'), /^True Enforced/);
    assert.equal(says('HTTPRoute/shop/r', 'WaypointNotReady'), 'Unknown Waiting: why');
  });

  it('says first that a route is attached to nothing', () => {
    const said = says('HTTPRoute/shop/r', 'WaypointOptedOut', unattached('Conflicted'));
    assert.equal(said, 'False NotAttached: not attached: why');
  });
});

describe('Enforced of a route', () => {
  const ROUTE = 'VirtualService/shop/r';
  const SERVICE = 'shop/web.shop.svc.cluster.local';
  const NOT_READY = { type: 'WaypointReady', reason: 'WaypointNotReady', message: 'not ready' };

  it('waits for the ready waypoint, and for whoever has to go there', () => {
    const conditions: object[] = [{ type: 'Accepted' }, NOT_READY];
    const outputs = {
      statuses: new Map([[ROUTE, { key: ROUTE, conditions, findings: [] }]]),
      scopes: new Map(),
      objects: new Map([[ROUTE, {}]]),
    } as unknown as MeshOutputs;
    let agent: StreamState = { pod: 'a', acked: { 'shop/r': 'v2', [SERVICE]: 'v1' } };
    const enforcement = new Enforcement({
      outputs: () => outputs,
      generation: () => 1,
      version: () => 'v2',
      streams: () => [stream(agent)],
      unreachable: () => [],
      waypointOf: () => undefined,
    });
    const says = (): string => {
      enforcement.evaluate();
      const found = enforcement.conditions.get(ROUTE);
      return `${found?.status} ${found?.reason}: ${found?.message}`;
    };
    const note = (causes: readonly string[], changed: object): void =>
      enforcement.note(new Set(causes), {
        ...NO_CHANGE,
        ...changed,
      } as unknown as MeshDelta);
    note([ROUTE], {});
    assert.equal(says(), 'Unknown Waiting: not ready');
    conditions.pop();
    note(['Pod/shop/waypoint-1'], {
      addresses: { changed: new Set([SERVICE]), removed: new Set() },
      statuses: { changed: new Set([ROUTE]), removed: new Set() },
    });
    assert.equal(says(), 'Unknown Waiting: 1 of 1 proxies have not acknowledged: a');
    agent = { pod: 'a', acked: { 'shop/r': 'v2', [SERVICE]: 'v2' } };
    assert.equal(says(), 'True Enforced: acknowledged by 1 proxy');
  });
});
