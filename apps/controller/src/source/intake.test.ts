import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { type MeshObject, type ObjectKey, parseObject } from '@ambit/api';
import { FakeClock } from '@ambit/core/testing';
import { keyOf } from '@ambit/model';
import { silentLogger } from '@ambit/telemetry';

import { MeshStore } from '../index/mesh-store.ts';
import type { SourceChange } from './config-source.ts';
import { AGAIN_MS_MAX, Intake } from './intake.ts';

const MESH = {
  ...{
    trustDomain: 'cluster.local',
    rootNamespace: 'istio-system',
    clusterDomain: 'cluster.local',
  },
  ...{ clusterId: 'Kubernetes', network: '' },
};
const NOTHING: SourceChange = { upserts: [], removes: [], invalid: [], notes: [], unsupported: [] };

function make(kind: string, name: string, spec: object, uid = `uid-${name}`): MeshObject {
  const apiVersion = kind === 'VirtualService' ? 'networking.istio.io/v1' : 'security.istio.io/v1';
  const metadata = { name, namespace: 'shop', uid, generation: 1 };
  const { object, findings } = parseObject({ apiVersion, kind, metadata, spec });
  assert.ok(object !== undefined, JSON.stringify(findings));
  return object;
}

const RULES = [{ from: [{ source: { principals: ['cluster.local/ns/shop/sa/web'] } }] }];
const policy = (name: string, spec: object = {}): MeshObject =>
  make('AuthorizationPolicy', name, { rules: RULES, ...spec });
const route = (name: string): MeshObject =>
  make('VirtualService', name, {
    hosts: ['a'],
    http: [{ route: [{ destination: { host: 'a' } }] }],
  });

/** Valid, and the model throws where it looks at it. */
function unusable(object: MeshObject, field: string): MeshObject {
  const spec = { ...('spec' in object ? object.spec : {}) };
  Object.defineProperty(spec, field, {
    enumerable: true,
    get: () => {
      throw new Error(`${field} of ${object.metadata.name} is odd`);
    },
  });
  return { ...object, spec } as MeshObject;
}

/** `mayTake`: throws for what cannot be taken at the moment. */
function bed(
  before: ReadonlyMap<ObjectKey, MeshObject> = new Map(),
  mayTake: (change: SourceChange) => void = () => undefined,
) {
  const clock = new FakeClock();
  const store = new MeshStore(MESH, { pending: [], clock });
  const kept = new Map<ObjectKey, MeshObject | undefined>();
  const usable: ObjectKey[] = [];
  let refused = 0;
  let applied = 0;
  const intake = new Intake({
    apply: (change) => {
      applied += 1;
      mayTake(change);
      store.apply(change);
    },
    objects: store.objects,
    source: {
      acceptedBefore: ({ kind, metadata }) => before.get(`${kind}/shop/${metadata.name}`),
      unusable: (key, inForce) => void kept.set(key, inForce),
      usable: (object) => void usable.push(keyOf(object)),
    },
    clock,
    log: silentLogger(),
    onRefused: () => {
      refused += 1;
    },
  });
  return {
    store,
    kept,
    usable,
    later: async () => {
      clock.advance(AGAIN_MS_MAX);
      for (let n = 0; n < 5; n += 1) await Promise.resolve();
    },
    take: (...upserts: readonly MeshObject[]) => intake.take({ ...NOTHING, upserts }),
    intake,
    counts: () => ({ refused, applied }),
    /** `Accepted` of an object, in short. */
    accepted: (key: ObjectKey) => {
      const found = store.model.outputs.statuses
        .get(key)
        ?.conditions.find(({ type }) => type === 'Accepted');
      return `${found?.status} ${found?.reason}: ${found?.message}`;
    },
    meaning: (key: ObjectKey) => {
      const object = store.objects.get(key);
      if (object?.kind !== 'AuthorizationPolicy') return undefined;
      const { action, rules, selector } = object.spec;
      return { action, rules: rules.length, selector: selector?.matchLabels };
    },
  };
}

const P = 'AuthorizationPolicy/shop/odd';

describe('Intake', () => {
  it('loads everything else of a first load, and closes what the policy could refuse', () => {
    const { store, take, accepted, meaning, kept, counts } = bed();
    const others = Array.from({ length: 200 }, (_, index) => policy(`p${index}`));
    const scope = { selector: { matchLabels: { app: 'web' } } };
    const odd = unusable(policy('odd', { action: 'DENY', ...scope }), 'rules');
    take(...others.slice(0, 77), odd, ...others.slice(77), unusable(route('r'), 'http'));
    assert.equal(store.objects.size, 201);
    assert.match(accepted(P), /^False Invalid: .*rules of odd is odd/);
    assert.match(accepted('VirtualService/shop/r'), /^False Invalid/);
    assert.equal(store.objects.has('VirtualService/shop/r'), false, 'nothing of a route is open');
    assert.equal(meaning(P)?.action, 'DENY');
    assert.deepEqual(
      [...kept],
      [
        [P, undefined],
        ['VirtualService/shop/r', undefined],
      ],
    );
    assert.ok(counts().applied < 60, `${counts().applied} attempts`);
    assert.equal(counts().refused, 2);
    assert.equal(store.model.outputs.authorizations.has('shop/p0'), true);
  });

  it('keeps the version before an edit, and takes the one after it', () => {
    const { take, accepted, meaning, kept } = bed();
    take(policy('odd'));
    take(unusable(policy('odd', { action: 'DENY' }), 'rules'), policy('fine'));
    assert.match(accepted(P), /^False Invalid/);
    assert.deepEqual(meaning(P), { action: 'ALLOW', rules: 1, selector: undefined });
    assert.equal(kept.get(P)?.kind, 'AuthorizationPolicy');
    take(policy('odd', { action: 'DENY' }));
    assert.match(accepted(P), /^True/);
    assert.equal(meaning(P)?.action, 'DENY');
  });

  it('takes what an earlier process had in force, of the same incarnation', () => {
    const { take, meaning, kept } = bed(new Map([[P, policy('odd', { action: 'DENY' })]]));
    take(unusable(policy('odd'), 'rules'));
    assert.deepEqual(meaning(P), { action: 'DENY', rules: 1, selector: undefined });
    assert.ok(kept.get(P) !== undefined);
  });

  it('takes nothing over from another incarnation', () => {
    const { intake, take, meaning } = bed();
    take(policy('odd'));
    const again = unusable(make('AuthorizationPolicy', 'odd', { rules: RULES }, 'other'), 'rules');
    intake.take({ ...NOTHING, removes: [P], upserts: [again] });
    assert.equal(meaning(P)?.action, 'DENY', 'the strictest: not even its action can be read');
  });

  it('stands in in the whole namespace for a scope that cannot be used', () => {
    const { take, meaning } = bed();
    take(unusable(policy('odd', { action: 'DENY' }), 'selector'));
    assert.deepEqual(meaning(P), { action: 'DENY', rules: 1, selector: undefined });
  });

  it('takes back what another listener of the model refuses', () => {
    const { store, take, accepted } = bed();
    store.inspectWith(({ authorizations }) => {
      if (authorizations.changed.has('shop/odd')) throw new Error('cannot be encoded');
    });
    take(policy('odd'), policy('fine'));
    assert.ok(store.objects.has('AuthorizationPolicy/shop/fine'));
    assert.match(accepted(P), /^False Invalid: .*cannot be encoded/);
    assert.equal(store.model.outputs.authorizations.has('shop/odd'), false);
  });

  it('takes a refused object once what was wrong elsewhere is gone, and asks only after a change', async () => {
    let isOdd = true;
    const { take, accepted, meaning, counts, later, usable, intake } = bed(new Map(), (change) => {
      if (isOdd && change.upserts.some((one) => keyOf(one) === P && meaningful(one))) {
        throw new Error('another one is in the way');
      }
    });
    take(policy('odd'));
    assert.match(accepted(P), /^False Invalid/);
    const { applied } = counts();
    await later();
    assert.equal(counts().applied, applied, 'nothing has changed');
    take(policy('fine'));
    await later();
    assert.match(accepted(P), /^False Invalid/);
    isOdd = false;
    take(policy('other'));
    await later();
    assert.match(accepted(P), /^True/);
    assert.deepEqual(meaning(P), { action: 'ALLOW', rules: 1, selector: undefined });
    assert.deepEqual([usable, counts().refused], [[P], 1]);
    assert.equal(intake.waiting, 0);
    intake.stop();
  });

  it('removes at last what could not be removed at once, also before its successor', async () => {
    let isOdd = true;
    const { take, store, later, intake } = bed(new Map(), ({ removes }) => {
      if (isOdd && removes.includes(P)) throw new Error('cannot be removed');
    });
    const remove = { ...NOTHING, removes: [P] };
    take(policy('odd'));
    intake.take(remove);
    assert.ok(store.objects.has(P));
    assert.equal(intake.waiting, 1);
    isOdd = false;
    await later();
    assert.equal(store.objects.has(P), false, 'nothing else has to change');
    assert.equal(intake.waiting, 0);
    take(policy('odd'));
    isOdd = true;
    intake.take(remove);
    isOdd = false;
    const findings = [{ code: 'X', severity: 'error', path: 'spec', message: 'is odd' }] as const;
    intake.take({ ...NOTHING, invalid: [{ key: P, findings }] });
    assert.equal(store.objects.has(P), false, 'another one of that name took nothing over');
    intake.stop();
  });

  it('takes for no stand-in what says that it is one', () => {
    const { take, meaning, kept } = bed();
    const { metadata, ...rest } = policy('odd');
    const annotations = { 'ambit.io/stand-in': 'true' };
    take({ ...rest, metadata: { ...metadata, annotations } } as MeshObject);
    take(unusable(policy('odd', { action: 'DENY' }), 'rules'));
    assert.deepEqual(meaning(P), { action: 'ALLOW', rules: 1, selector: undefined });
    assert.ok(kept.get(P) !== undefined);
  });

  it('still tries what is to stay in force when the object is refused again', async () => {
    let isOdd = true;
    const { intake, take, meaning, later, usable } = bed(new Map(), ({ upserts }) => {
      // Not of the stand-in.
      if (isOdd && JSON.stringify(upserts).includes('cluster.local')) throw new Error('is odd');
    });
    const findings = [{ code: 'X', severity: 'error', path: '', message: 'is odd' }] as const;
    const invalid = [{ key: P, findings }];
    intake.take({ ...NOTHING, upserts: [policy('odd', { action: 'DENY' })], invalid });
    assert.equal(meaning(P)?.rules, 1, 'the strictest');
    intake.take({ ...NOTHING, invalid });
    assert.equal(intake.waiting, 1);
    isOdd = false;
    take(route('r'));
    await later();
    assert.deepEqual([usable, intake.waiting], [[P], 0]);
    isOdd = true;
    take(policy('odd'));
    intake.take({ ...NOTHING, invalid });
    assert.equal(intake.waiting, 0, 'a version that was accepted and never in force is past');
    intake.stop();
  });

  it('takes no stand-in away with what it followed', () => {
    const { intake, take, meaning } = bed();
    take(policy('odd'));
    const again = unusable(make('AuthorizationPolicy', 'odd', { rules: RULES }, 'other'), 'rules');
    intake.take({ ...NOTHING, removes: [P], upserts: [again] });
    const findings = [{ code: 'X', severity: 'error', path: '', message: 'too long' }] as const;
    intake.take({ ...NOTHING, invalid: [{ key: P, findings }] });
    assert.equal(meaning(P)?.action, 'DENY');
    intake.stop();
  });

  it('tells what was found in an object beside that what is left of it cannot be used', () => {
    const { intake, store } = bed();
    const findings = [{ code: 'X', severity: 'error', path: 'spec.a', message: 'is odd' }] as const;
    const upserts = [unusable(policy('odd'), 'rules')];
    intake.take({ ...NOTHING, upserts, invalid: [{ key: P, findings }] });
    const codes = store.model.outputs.statuses.get(P)?.findings.map(({ code }) => code);
    assert.deepEqual(codes, ['X', 'OBJECT_UNUSABLE']);
    intake.stop();
  });
});

function meaningful(object: MeshObject): boolean {
  return object.kind === 'AuthorizationPolicy' && object.spec.rules.length > 0;
}
