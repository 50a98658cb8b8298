import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import type { Enrolment } from '@ambit/model';
import type { Pod } from './pod.ts';
import { PodStore } from './store.ts';

const POD: Pod = {
  uid: 'u1',
  name: 'p',
  namespace: 'shop',
  serviceAccount: 'default',
  labels: { a: 'b' },
  annotations: {},
  netnsPath: '/proc/1/fd/3',
  ips: ['10.0.0.1'],
};
const enrolment = (namespace: string, mode: 'ambient' | 'none'): Enrolment => ({
  namespace,
  mode,
  exceptions: [{ pod: 'x', mode: 'none' }],
  dnsCapture: true,
});

let folder: string;
let store: PodStore;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'ambit-store-'));
  store = new PodStore(join(folder, 'run'));
  store.open();
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

describe('PodStore', () => {
  it('gives pods back to the next agent', () => {
    store.savePod(POD, '4:99');
    store.savePod({ ...POD, uid: 'u2' }, '4:98');
    store.forgetPod('u2');
    store.forgetPod('u2');
    const next = new PodStore(join(folder, 'run'));
    next.open();
    assert.deepEqual(next.loadPods(), { pods: [{ pod: POD, netnsId: '4:99' }], problems: [] });
  });

  it('reports files that are no pods and reads the others', () => {
    store.savePod(POD, '4:99');
    for (const [name, text] of [
      ['cut.json', '{"uid":"u'],
      ['none.json', '{}'],
      ['old.json', JSON.stringify({ ...POD, uid: 'u3' })],
    ] as const) {
      writeFileSync(join(folder, 'run', 'pods', name), text);
    }
    writeFileSync(join(folder, 'run', 'pods', 'u9.json.123.new'), 'half');
    const { pods, problems } = store.loadPods();
    assert.equal(pods.length, 1);
    assert.deepEqual(
      problems.map((text) => text.split(':')[0]),
      ['cut.json', 'none.json', 'old.json'],
    );
  });

  it('keeps enrolments, and names for those who ask while no agent lives', () => {
    const all = new Map(
      [enrolment('b', 'ambient'), enrolment('a', 'none'), enrolment('c', 'ambient')].map((one) => [
        one.namespace,
        one,
      ]),
    );
    store.saveEnrolments(all);
    assert.deepEqual(store.loadEnrolments(), all);
    assert.deepEqual(JSON.parse(readFileSync(join(folder, 'run', 'enrolled.json'), 'utf8')), [
      'b',
      'c',
    ]);
    assert.deepEqual(
      readdirSync(join(folder, 'run')).filter((name) => name.endsWith('.new')),
      [],
    );
  });

  it('tells nothing apart from none', () => {
    assert.equal(store.loadEnrolments(), undefined);
    store.saveEnrolments(new Map());
    assert.deepEqual(store.loadEnrolments(), new Map());
  });

  for (const text of [
    '',
    '{}',
    '[1]',
    '[{"namespace":"a","mode":"on","exceptions":[],"dnsCapture":true}]',
  ]) {
    it(`knows nothing rather than believe ${text === '' ? 'an empty file' : text}`, () => {
      writeFileSync(join(folder, 'run', 'enrolments.json'), text);
      assert.equal(store.loadEnrolments(), undefined);
    });
  }
});
