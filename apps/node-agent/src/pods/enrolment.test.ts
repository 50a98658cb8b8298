import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Enrolment } from '@ambit/model';
import { DEFAULT_PROBE_SOURCES } from '../capture/rules.ts';
import { captureOptionsOf, decideEnrolment } from './enrolment.ts';
import type { Pod } from './pod.ts';

const pod = (extra: Partial<Pod> = {}): Pod => ({
  uid: 'u',
  name: 'p',
  namespace: 'shop',
  serviceAccount: 'default',
  labels: {},
  annotations: {},
  netnsPath: '/x',
  ips: [],
  ...extra,
});
const mode = (value: string) => ({ 'istio.io/dataplane-mode': value });
const enrolment = (extra: Partial<Enrolment> = {}): ReadonlyMap<string, Enrolment> =>
  new Map([
    ['shop', { namespace: 'shop', mode: 'ambient', exceptions: [], dnsCapture: true, ...extra }],
  ]);
const none = enrolment({ mode: 'none' });

describe('decideEnrolment', () => {
  const cases: readonly (readonly [
    string,
    Pod,
    ReturnType<typeof enrolment> | undefined,
    string,
  ])[] = [
    ['the namespace is ambient', pod(), enrolment(), 'ambient'],
    ['the namespace is none', pod(), none, 'none'],
    ['the namespace is not there', pod(), new Map(), 'none'],
    ['the pod opts out', pod({ labels: mode('none') }), enrolment(), 'none'],
    ['the pod opts in', pod({ labels: mode('ambient') }), none, 'ambient'],
    [
      'the pod opts in and the namespace is not there',
      pod({ labels: mode('ambient') }),
      new Map(),
      'ambient',
    ],
    ['the label means nothing', pod({ labels: mode('sidecar') }), enrolment(), 'ambient'],
    [
      'the controller excepts the pod',
      pod(),
      enrolment({ exceptions: [{ pod: 'p', mode: 'none' }] }),
      'none',
    ],
    [
      'the controller excepts another pod',
      pod(),
      enrolment({ exceptions: [{ pod: 'q', mode: 'none' }] }),
      'ambient',
    ],
    [
      'the controller adds the pod',
      pod(),
      enrolment({ mode: 'none', exceptions: [{ pod: 'p', mode: 'ambient' }] }),
      'ambient',
    ],
    [
      'its own label beats the exception',
      pod({ labels: mode('ambient') }),
      enrolment({ exceptions: [{ pod: 'p', mode: 'none' }] }),
      'ambient',
    ],
    [
      'it has a sidecar',
      pod({ labels: mode('ambient'), annotations: { 'sidecar.istio.io/status': '{}' } }),
      enrolment(),
      'none',
    ],
    ['nothing was ever heard', pod(), undefined, 'unknown'],
    ['nothing was ever heard, and it opts out', pod({ labels: mode('none') }), undefined, 'none'],
    [
      'nothing was ever heard, and it opts in',
      pod({ labels: mode('ambient') }),
      undefined,
      'ambient',
    ],
  ];
  for (const [what, subject, enrolments, expected] of cases) {
    it(`says ${expected} when ${what}`, () => {
      assert.equal(decideEnrolment(subject, enrolments).mode, expected);
    });
  }
});

describe('captureOptionsOf', () => {
  const defaults = { dnsCapture: true, probeSources: DEFAULT_PROBE_SOURCES };
  const options = (annotations: Record<string, string>, dnsCapture = true) =>
    captureOptionsOf(pod({ annotations }), enrolment({ dnsCapture }).get('shop'), defaults);

  it('captures names by default, by namespace, by annotation', () => {
    assert.equal(options({}).dnsCapture, true);
    assert.equal(options({}, false).dnsCapture, false);
    assert.equal(options({ 'ambient.istio.io/dns-capture': 'false' }).dnsCapture, false);
    assert.equal(options({ 'ambient.istio.io/dns-capture': 'true' }, false).dnsCapture, true);
    const off = { ...defaults, dnsCapture: false };
    const annotated = pod({ annotations: { 'ambient.istio.io/dns-capture': 'true' } });
    assert.equal(captureOptionsOf(annotated, undefined, off).dnsCapture, false);
  });

  it('bypasses inbound only when told so', () => {
    assert.equal(options({}).bypassInbound, false);
    assert.equal(
      options({ 'ambient.istio.io/bypass-inbound-capture': 'true' }).bypassInbound,
      true,
    );
    assert.equal(
      options({ 'ambient.istio.io/bypass-inbound-capture': 'yes' }).bypassInbound,
      false,
    );
  });

  it('leaves out what annotations of sidecars leave out', () => {
    const value = { 'traffic.sidecar.istio.io/excludeOutboundPorts': '5432' };
    assert.deepEqual(options(value).exclusions?.outboundPorts, [5432]);
    assert.equal('exclusions' in options({}), false);
  });

  it('takes interface names and nothing that could be a rule', () => {
    const value = 'vm0, tap-1,evil" accept;,averyveryverylongname,,vm0.1';
    assert.deepEqual(options({ 'istio.io/reroute-virtual-interfaces': value }).virtualInterfaces, [
      'vm0',
      'tap-1',
      'vm0.1',
    ]);
  });
});
