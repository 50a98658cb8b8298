/**
 * The model against recordings: the objects of a real cluster must become the resources that the
 * reference made of them, but for the differences that are listed here, each with its reason.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';

import { type MeshObject, parseObject } from '@ambit/api';

import { deepEqual } from './graph/deep-equal.ts';
import { MeshModel } from './mesh-model.ts';
import { asRecorded } from './recorded.testing.ts';

const OPTIONS = {
  trustDomain: 'cluster.local',
  rootNamespace: 'istio-system',
  clusterDomain: 'cluster.local',
  clusterId: 'Kubernetes',
  network: '',
};

/** Resources that are not compared, and why. */
const NOT_COMPARED: Readonly<Record<string, string>> = {
  'bookshop/http-allow': 'needs the request: decided at the waypoint, never weakened for agents',
  'bookshop/http-deny': 'needs the request: decided at the waypoint, never weakened for agents',
  'Kubernetes//Pod/bookshop/extra': 'gone at the end',
  'bookshop/extra-policy': 'gone at the end',
  'bookshop/brief.bookshop.svc.cluster.local': 'gone at the end',
};

const DEFECT = 'the reference lists every selector policy of the namespace, a defect';
const SELECTOR_POLICIES = [
  'allow-callers',
  'deny-ports',
  'http-allow',
  'http-deny',
  'extra-policy',
];

/** Policies that only the reference lists on a workload, and why. */
const NOT_LISTED: Readonly<
  Record<string, { readonly names: readonly string[]; readonly why: string }>
> = {
  'Kubernetes/networking.istio.io/ServiceEntry/bookshop/inline/192.0.2.20': {
    names: SELECTOR_POLICIES,
    why: DEFECT,
  },
  'Kubernetes/networking.istio.io/ServiceEntry/bookshop/inline/2001:db8::20': {
    names: SELECTOR_POLICIES,
    why: DEFECT,
  },
  'Kubernetes/networking.istio.io/ServiceEntry/bookshop/dns/api.example.com': {
    names: SELECTOR_POLICIES,
    why: DEFECT,
  },
  'Kubernetes//Pod/bookshop/client': {
    names: ['http-allow', 'http-deny'],
    why: 'they need the request: the pod is guarded instead',
  },
};

/** Policies that only Ambit lists: they keep a guard at foreign agents. */
const GUARD_POLICY = /^bookshop\/ambit_(?:only|allow)_waypoint_/;

function withoutPolicies(resource: unknown, isLeftOut: (name: string) => boolean): unknown {
  const copy = structuredClone(resource) as { workload?: { authorization_policies?: string[] } };
  const kept = copy.workload?.authorization_policies?.filter((name) => !isLeftOut(name));
  if (copy.workload === undefined || kept === undefined) return copy;
  if (kept.length > 0) copy.workload.authorization_policies = kept;
  else delete copy.workload.authorization_policies;
  return copy;
}

function fixture(name: string): unknown {
  return JSON.parse(readFileSync(new URL(`./fixtures/${name}`, import.meta.url), 'utf8'));
}

function world(): readonly MeshObject[] {
  return (fixture('world-objects.json') as readonly unknown[]).map((value) => {
    const { object, findings } = parseObject(value);
    assert.ok(object, JSON.stringify(findings));
    return object;
  });
}

describe('MeshModel on a recorded world', () => {
  const model = new MeshModel(OPTIONS);
  model.apply({ upserts: world() });
  const { addresses, authorizations } = model.outputs;
  const recorded = fixture('world-resources.json') as Readonly<Record<string, readonly unknown[]>>;

  for (const [typed, versions] of Object.entries(recorded)) {
    const [type = '', name = ''] = typed.split(' ');
    it(`makes ${typed}`, (context) => {
      const reason = NOT_COMPARED[name];
      if (reason !== undefined) {
        context.diagnostic(reason);
        return;
      }
      const made = type === 'Address' ? addresses.get(name) : authorizations.get(name);
      assert.ok(made, `${name} is missing`);
      const ours = withoutPolicies(asRecorded(made), (policy) => GUARD_POLICY.test(policy));
      const leftOut = NOT_LISTED[name];
      if (leftOut !== undefined) context.diagnostic(leftOut.why);
      const theirs = versions.map((version) =>
        withoutPolicies(
          version,
          (policy) => leftOut?.names.some((one) => policy === `bookshop/${one}`) === true,
        ),
      );
      // The recording went through several states; the objects are those of the last that came.
      const closest = theirs.findLast((version) => deepEqual(version, ours)) ?? theirs.at(-1);
      assert.deepEqual(ours, closest);
    });
  }

  it('guards what the reference would leave to a weaker policy', () => {
    const guardOf = (pod: string): unknown => {
      const address = addresses.get(`Kubernetes//Pod/bookshop/${pod}`);
      assert.ok(address?.kind === 'workload');
      return address.workload.guard;
    };
    const waypointIdentities = ['spiffe://cluster.local/ns/bookshop/sa/waypoint'];
    const because = [
      'AuthorizationPolicy/bookshop/http-allow',
      'AuthorizationPolicy/bookshop/http-deny',
    ];
    // The recorded waypoint takes service traffic only, and nothing reaches this pod by a service.
    assert.deepEqual(guardOf('client'), {
      waypointIdentities: [],
      ports: [],
      exclusive: true,
      because,
    });
    assert.deepEqual(guardOf('reviews-v2-785cb5dc55-vzbh2'), {
      waypointIdentities,
      ports: [8080, 9090],
      exclusive: true,
      because: ['AuthorizationPolicy/bookshop/at-waypoint'],
    });
    assert.equal(guardOf('ratings-0'), undefined);
  });
});
