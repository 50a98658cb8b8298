import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { MeshModel } from '../mesh-model.ts';
import { modelOf, namespace, pod, uid } from '../objects.testing.ts';
import { BYPASS_MS_MAX, readBypass } from './bypass.ts';

const FULL = {
  'ambit.io/bypass-until': '2026-01-31T12:10:00Z',
  'ambit.io/bypass-since': '2026-01-31T12:00:00Z',
  'ambit.io/bypass-by': 'ada',
  'ambit.io/bypass-reason': 'the CA is down',
};

describe('readBypass', () => {
  it('takes what is complete', () => {
    assert.deepEqual(readBypass(FULL), {
      bypass: {
        sinceMs: Date.UTC(2026, 0, 31, 12),
        untilMs: Date.UTC(2026, 0, 31, 12, 10),
        by: 'ada',
        reason: 'the CA is down',
      },
      findings: [],
    });
  });

  it('says nothing where nothing is written', () => {
    assert.deepEqual(readBypass({ other: 'x' }), { findings: [] });
  });

  for (const [title, change, path] of [
    ['no end', { 'ambit.io/bypass-until': undefined }, 'bypass-until'],
    ['an end without a zone', { 'ambit.io/bypass-until': '2026-01-31T12:10:00' }, 'bypass-until'],
    ['a day that is none', { 'ambit.io/bypass-until': '2026-13-31T12:10:00Z' }, 'bypass-until'],
    ['a span', { 'ambit.io/bypass-until': '10m' }, 'bypass-until'],
    ['no beginning', { 'ambit.io/bypass-since': undefined }, 'bypass-since'],
    [
      'an end before the beginning',
      { 'ambit.io/bypass-until': '2026-01-31T11:59:59Z' },
      'bypass-until',
    ],
    ['more than a day', { 'ambit.io/bypass-until': '2026-02-01T12:00:01Z' }, 'bypass-until'],
    ['nobody', { 'ambit.io/bypass-by': ' ' }, 'bypass-by'],
    ['no reason', { 'ambit.io/bypass-reason': undefined }, 'bypass-reason'],
    ['an endless reason', { 'ambit.io/bypass-reason': 'x'.repeat(501) }, 'bypass-reason'],
  ] as const) {
    it(`sets aside ${title}`, () => {
      const annotations = Object.fromEntries(
        Object.entries({ ...FULL, ...change }).flatMap(([key, value]) =>
          value === undefined ? [] : [[key, value]],
        ),
      );
      const { bypass, findings } = readBypass(annotations);
      assert.equal(bypass, undefined);
      assert.deepEqual(
        findings.map((finding) => finding.path),
        [`metadata.annotations["ambit.io/${path}"]`],
      );
    });
  }

  it('never opens for longer than a day, whatever is written', () => {
    const text = fc.oneof(
      fc.string(),
      fc
        .date({
          min: new Date('2026-01-30'),
          max: new Date('2026-02-04'),
          noInvalidDate: true,
        })
        .map((date) => date.toISOString()),
    );
    fc.assert(
      fc.property(fc.dictionary(fc.constantFrom(...Object.keys(FULL)), text), (annotations) => {
        const { bypass, findings } = readBypass(annotations);
        if (bypass === undefined) {
          assert.equal(findings.length > 0, Object.keys(annotations).length > 0);
          return;
        }
        const lengthMs = bypass.untilMs - bypass.sinceMs;
        assert.ok(lengthMs > 0 && lengthMs <= BYPASS_MS_MAX);
      }),
    );
  });
});

describe('a namespace that is bypassed', () => {
  const AMBIENT = { 'istio.io/dataplane-mode': 'ambient' };
  const opened = {
    ...namespace('shop', AMBIENT),
    metadata: { ...namespace('shop', AMBIENT).metadata, annotations: FULL },
  };
  const own = pod('own', '10.0.0.9', { labels: { app: 'own', ...AMBIENT } });
  const world = (): MeshModel => modelOf(opened, pod('reviews', '10.0.0.1'), own);
  const protocolOf = (model: MeshModel, name: string): string | undefined => {
    const address = model.outputs.addresses.get(uid(name));
    return address?.kind === 'workload' ? address.workload.tunnelProtocol : undefined;
  };
  const bypassed = (model: MeshModel) =>
    model.outputs.statuses
      .get('Namespace/shop')
      ?.conditions.find(({ type }) => type === 'Bypassed');

  it('stays in the mesh until somebody with a clock says that it is not', () => {
    const model = world();
    assert.equal(protocolOf(model, 'reviews'), 'HBONE');
    assert.equal(model.outputs.enrolments.get('shop')?.mode, 'ambient');
    assert.equal(bypassed(model)?.status, 'False');
  });

  it('is out of the mesh for the time, but for pods that say for themselves, and says so', () => {
    const model = world();
    model.apply({ bypassed: { add: ['shop'] } });
    assert.equal(protocolOf(model, 'reviews'), 'NONE');
    assert.equal(protocolOf(model, 'own'), 'HBONE');
    assert.deepEqual(model.outputs.enrolments.get('shop'), {
      namespace: 'shop',
      mode: 'none',
      exceptions: [{ pod: 'own', mode: 'ambient' }],
      dnsCapture: true,
    });
    const { status, message } = bypassed(model) ?? {};
    assert.equal(status, 'True');
    assert.match(
      message ?? '',
      /out of the mesh until 2026-01-31T12:10:00.000Z, by ada: the CA is down/,
    );
  });

  it('comes back as a namespace that is enrolled: captured first, published then', () => {
    const model = world();
    model.apply({ bypassed: { add: ['shop'] } });
    model.apply({ bypassed: { remove: ['shop'] } });
    assert.equal(model.outputs.enrolments.get('shop')?.mode, 'ambient');
    assert.ok(model.pending.has(uid('reviews')));
    model.apply({ captured: { add: [uid('reviews')] } });
    assert.equal(protocolOf(model, 'reviews'), 'HBONE');
  });

  it('is not, once its annotations are gone, whatever was said', () => {
    const model = world();
    model.apply({ bypassed: { add: ['shop'] } });
    model.apply({ upserts: [namespace('shop', AMBIENT)] });
    assert.equal(model.outputs.enrolments.get('shop')?.mode, 'ambient');
  });

  it('has findings when nothing can be read, and stays in the mesh', () => {
    const annotations = { 'ambit.io/bypass-until': 'tomorrow' };
    const base = namespace('shop', AMBIENT);
    const model = modelOf({ ...base, metadata: { ...base.metadata, annotations } });
    model.apply({ bypassed: { add: ['shop'] } });
    assert.equal(model.outputs.enrolments.get('shop')?.mode, 'ambient');
    const codes = model.outputs.statuses.get('Namespace/shop')?.findings.map(({ code }) => code);
    assert.ok(codes?.includes('BYPASS_INVALID'));
  });
});
