import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { CONTROLLER, line, SERVICE_PARENT, worldOf } from './gateway-api.testing.ts';
import {
  mergeParents,
  type ParentEntry,
  type TimedCondition,
  withTransitionTimes,
} from './merge-status.ts';
import { tlsPolicyStatus } from './tls-policy-status.ts';
import { gatewayCondition } from './world.ts';

const OLD = '2026-01-01T00:00:00Z';
const NOW = '2026-02-02T00:00:00Z';
const said = (type: string, isTrue: boolean) =>
  gatewayCondition(type, isTrue, 'R', 'm', { generation: 1 });
const timed = (type: string, isTrue: boolean): TimedCondition => ({
  ...said(type, isTrue),
  lastTransitionTime: OLD,
});

describe('withTransitionTimes', () => {
  it('keeps the time of what did not change, and conditions of others', () => {
    const merged = withTransitionTimes(
      [said('A', true), said('B', true), said('C', true)],
      [timed('A', true), timed('B', false), timed('Theirs', true)],
      NOW,
    );
    assert.deepEqual(
      merged.map(({ type, lastTransitionTime }) => `${type} ${lastTransitionTime}`),
      [`A ${OLD}`, `B ${NOW}`, `C ${NOW}`, `Theirs ${OLD}`],
    );
  });

  it('comes to rest', () => {
    const once = withTransitionTimes([said('A', true)], [timed('X', true)], NOW);
    assert.deepEqual(withTransitionTimes([said('A', true)], once, 'later'), once);
  });
});

describe('mergeParents', () => {
  const options = { controllerName: CONTROLLER, now: NOW };
  const entry = (name: string, controllerName = CONTROLLER) => ({
    parentRef: { ...SERVICE_PARENT, name },
    controllerName,
    conditions: [said('Accepted', true)],
  });
  const stored = (name: string, controllerName = CONTROLLER): ParentEntry<TimedCondition> => ({
    ...entry(name, controllerName),
    conditions: [timed('Accepted', true)],
  });

  it('keeps entries of others, drops ours that are gone, and adds what is new', () => {
    const merged = mergeParents(
      [entry('a'), entry('b')],
      [stored('x', 'theirs'), stored('a'), stored('gone')],
      options,
    );
    assert.deepEqual(
      merged.map(
        ({ parentRef, conditions }) => `${parentRef.name} ${conditions[0]?.lastTransitionTime}`,
      ),
      [`x ${OLD}`, `a ${OLD}`, `b ${NOW}`],
    );
  });

  it('has no entry twice, however often it runs', () => {
    let parents = mergeParents([entry('a'), entry('a')], [stored('a'), stored('a')], options);
    for (let round = 0; round < 3; round += 1)
      parents = mergeParents([entry('a')], parents, options);
    assert.equal(parents.length, 1);
    assert.equal(parents[0]?.conditions[0]?.lastTransitionTime, OLD);
  });

  it('is bounded', () => {
    const many = Array.from({ length: 50 }, (_, index) => entry(`s${index}`));
    assert.equal(mergeParents(many, [], options).length, 32);
  });
});

describe('tlsPolicyStatus', () => {
  const target = { group: '', kind: 'Service', name: 'reviews' };
  const ca = { group: '', kind: 'ConfigMap', name: 'ca' };
  const policy = {
    namespace: 'shop',
    name: 'p',
    generation: 4,
    targetRefs: [target],
    caCertificateRefs: [ca],
  };
  const ROWS: readonly (readonly [
    string,
    Partial<Parameters<typeof tlsPolicyStatus>[0]>,
    string | undefined,
    string,
  ])[] = [
    ['a CA', {}, undefined, 'Accepted=True/Accepted ResolvedRefs=True/ResolvedRefs'],
    [
      'the CAs of the system',
      { caCertificateRefs: [], wellKnownCaCertificates: 'System' },
      undefined,
      'Accepted=True/Accepted ResolvedRefs=True/ResolvedRefs',
    ],
    [
      'no CA',
      { caCertificateRefs: [] },
      undefined,
      'Accepted=False/NoValidCACertificate ResolvedRefs=False/InvalidCACertificateRef',
    ],
    [
      'a CA that is not there',
      { caCertificateRefs: [{ ...ca, name: 'x' }] },
      undefined,
      'Accepted=False/NoValidCACertificate ResolvedRefs=False/InvalidCACertificateRef',
    ],
    [
      'a CA in a Secret',
      { caCertificateRefs: [{ ...ca, kind: 'Secret' }] },
      undefined,
      'Accepted=False/NoValidCACertificate ResolvedRefs=False/InvalidKind',
    ],
    [
      'a service that is not there',
      { targetRefs: [{ ...target, name: 'x' }] },
      undefined,
      'Accepted=False/TargetNotFound ResolvedRefs=True/ResolvedRefs',
    ],
    [
      'another kind of target',
      { targetRefs: [{ ...target, kind: 'Pod' }] },
      undefined,
      'Accepted=False/Invalid ResolvedRefs=True/ResolvedRefs',
    ],
    [
      'an older policy',
      {},
      'BackendTLSPolicy/shop/o',
      'Accepted=False/Conflicted ResolvedRefs=True/ResolvedRefs',
    ],
  ];
  for (const [title, changes, older, says] of ROWS) {
    it(`says ${says} of ${title}`, () => {
      const [entry] = tlsPolicyStatus({ ...policy, ...changes }, worldOf(), () => older);
      assert.equal(line(entry?.conditions ?? []), says);
      assert.equal(entry?.controllerName, CONTROLLER);
      assert.equal(entry.ancestorRef.namespace, 'shop');
    });
  }

  it('has at most as many ancestors as the API takes', () => {
    const targetRefs = Array.from({ length: 40 }, (_, index) => ({
      ...target,
      sectionName: `p${index}`,
    }));
    assert.equal(tlsPolicyStatus({ ...policy, targetRefs }, worldOf(), () => undefined).length, 16);
  });
});
