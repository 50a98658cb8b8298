import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { systemClock } from '@ambit/core';
import type { KubeObject } from '@ambit/kube';
import { GATEWAY_CRD, openTestCluster, type TestCluster } from '@ambit/kube/testing';
import { readBypass } from '@ambit/model';
import { gvr } from '../install/cluster.ts';
import { runMeshctl } from '../testing.ts';
import { annotationsOf, labelsOf, NAMESPACES } from './namespaces.ts';
import { GATEWAYS } from './waypoint-objects.ts';

const SERVED_MS_MAX = 20_000;

let cluster: TestCluster;
let namespace: string;

before(async () => {
  cluster = await openTestCluster('commands');
  const definitions = gvr('apiextensions.k8s.io/v1', 'customresourcedefinitions');
  // Where the cluster has Gateway API, its own is used.
  if ((await cluster.client.find(definitions, GATEWAY_CRD.metadata)) === undefined) {
    await cluster.client.apply(definitions, GATEWAY_CRD, { force: true });
  }
  const deadline = systemClock.now() + SERVED_MS_MAX;
  while (!(await isServed())) {
    assert.ok(systemClock.now() < deadline, 'Gateway is not served');
    await systemClock.sleep(100);
  }
  namespace = await cluster.namespace();
});

after(async () => {
  await cluster[Symbol.asyncDispose]();
});

async function isServed(): Promise<boolean> {
  try {
    await cluster.client.list(GATEWAYS, { namespace: 'default' });
    return true;
  } catch {
    return false;
  }
}

async function meshctl(...args: readonly string[]) {
  return await runMeshctl([...args, '--kubeconfig', cluster.kubeconfigPath]);
}

async function namespaceNow(): Promise<KubeObject> {
  return await cluster.client.get(NAMESPACES, { name: namespace });
}

describe('meshctl waypoint against an API server', () => {
  it('applies one, enrols the namespace, and says that nothing is captured there', async () => {
    const { code, stdout, stderr } = await meshctl(
      'waypoint',
      'apply',
      '-n',
      namespace,
      '--for',
      'all',
      '--enroll-namespace',
    );
    assert.equal(code, 0, stderr);
    assert.equal(
      stdout,
      `✅ waypoint ${namespace}/waypoint applied\n✅ namespace ${namespace} labeled with "istio.io/use-waypoint: waypoint"\n`,
    );
    assert.match(stderr, /is not enrolled/);
    const made = await cluster.client.get(GATEWAYS, { namespace, name: 'waypoint' });
    assert.equal(labelsOf(made)['istio.io/waypoint-for'], 'all');
    assert.equal(labelsOf(await namespaceNow())['istio.io/use-waypoint'], 'waypoint');
  });

  it('replaces the waypoint of a namespace only when told to', async () => {
    const args = ['waypoint', 'apply', '-n', namespace, '--name', 'other', '--enroll-namespace'];
    const refused = await meshctl(...args);
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /uses waypoint "waypoint"[\s\S]*--overwrite/);
    assert.equal((await meshctl(...args, '--overwrite')).code, 0);
    assert.equal(labelsOf(await namespaceNow())['istio.io/use-waypoint'], 'other');
  });

  it('lists them with who uses them, and answers 1 while one does not run', async () => {
    const { stdout } = await meshctl('waypoint', 'list', '-n', namespace);
    assert.match(stdout, /^NAME +REVISION +PROGRAMMED +TRAFFIC TYPE +USED BY$/m);
    assert.match(
      stdout,
      new RegExp(`^other +default +False +service +Namespace ${namespace}$`, 'm'),
    );
    assert.match(stdout, /^waypoint +default +False +all +nobody by label$/m);
    const status = await meshctl('waypoint', 'status', 'other', '-n', namespace);
    assert.equal(status.code, 1);
    assert.match(status.stdout, /no controller has looked at it yet/);
  });

  it('says in time that one does not come up, and that it has', async () => {
    const waiting = [
      'waypoint',
      'status',
      'other',
      '-n',
      namespace,
      '--wait',
      '--waypoint-timeout',
    ];
    const late = await meshctl(...waiting, '1s');
    assert.equal(late.code, 1);
    assert.match(late.stderr, /is not ready in time/);
    const found = await cluster.client.get(GATEWAYS, { namespace, name: 'other' });
    const { generation: observedGeneration } = found.metadata;
    const programmed = {
      type: 'Programmed',
      status: 'True',
      reason: 'Programmed',
      observedGeneration,
    };
    await cluster.client.patch(
      GATEWAYS,
      { namespace, name: 'other' },
      { type: 'merge', subresource: 'status', patch: { status: { conditions: [programmed] } } },
    );
    assert.equal((await meshctl(...waiting, '5s')).code, 0);
  });

  it('deletes and says whom that leaves behind', async () => {
    const one = await meshctl('waypoint', 'delete', 'other', 'nobody', '-n', namespace);
    assert.equal(one.code, 1);
    assert.match(
      one.stderr,
      new RegExp(`refusing callers until it is back: Namespace ${namespace}`),
    );
    assert.match(one.stderr, /there is no waypoint .*nobody/);
    assert.equal((await meshctl('waypoint', 'delete', '--all', '-n', namespace)).code, 0);
    assert.match((await meshctl('waypoint', 'list', '-n', namespace)).stderr, /no waypoints found/);
  });

  for (const [args, code] of [
    [['delete'], 2],
    [['apply', '--for', 'everything'], 2],
    [['apply', '--name', 'none'], 2],
    [['apply', '-n', 'no-such-namespace'], 1],
    [['status', 'nobody'], 1],
  ] as const) {
    it(`answers ${code} to ${args.join(' ')}`, async () => {
      assert.equal((await meshctl('waypoint', ...args)).code, code);
    });
  }
});

describe('meshctl bypass against an API server', () => {
  it('changes nothing with --dry-run', async () => {
    const args = ['bypass', namespace, '--for', '10m', '--reason', 'test', '--dry-run'];
    const { stdout, code } = await meshctl(...args);
    assert.equal(code, 0);
    assert.match(stdout, /^Nothing was changed/);
    assert.deepEqual(readBypass(annotationsOf(await namespaceNow())), { findings: [] });
  });

  it('records by whom, why and until when, in the cluster too', async () => {
    const { code, stdout, stderr } = await meshctl(
      'bypass',
      namespace,
      '--for',
      '10m',
      '--reason',
      'INC-42',
    );
    assert.equal(code, 0, stderr);
    assert.match(stdout, /out of the mesh until .* \(by \S+: INC-42\)/);
    const { bypass, findings } = readBypass(annotationsOf(await namespaceNow()));
    assert.deepEqual(findings, []);
    assert.equal((bypass?.untilMs ?? 0) - (bypass?.sinceMs ?? 0), 600_000);
    const events = await cluster.client.list(gvr('v1', 'events'), { namespace: 'default' });
    assert.ok(events.some((event) => event['reason'] === 'BypassBegan'));
    assert.doesNotMatch(stderr, /no Event/);
  });

  it('lists it, and ends it', async () => {
    const listed = await meshctl('bypass', 'list');
    assert.match(listed.stdout, new RegExp(`^${namespace} +open .* INC-42$`, 'm'));
    const ended = await meshctl('bypass', namespace, '--end');
    assert.match(ended.stdout, /is over/);
    assert.deepEqual(readBypass(annotationsOf(await namespaceNow())), { findings: [] });
    assert.match((await meshctl('bypass', namespace, '--end')).stdout, /is not bypassed/);
    assert.match((await meshctl('bypass', 'list')).stderr, /no namespace is bypassed/);
  });

  it('lists what nobody can read as invalid', async () => {
    const patch = { metadata: { annotations: { 'ambit.io/bypass-until': 'tomorrow' } } };
    await cluster.client.patch(NAMESPACES, { name: namespace }, { type: 'merge', patch });
    assert.match(
      (await meshctl('bypass', 'list')).stdout,
      new RegExp(`^${namespace} +invalid`, 'm'),
    );
    await meshctl('bypass', namespace, '--end');
  });

  for (const [title, args, code] of [
    ['no namespace', [], 2],
    ['no time', ['shop', '--reason', 'x'], 2],
    ['no reason', ['shop', '--for', '1m'], 2],
    ['a blank reason', ['shop', '--for', '1m', '--reason', ' '], 2],
    ['no time at all', ['shop', '--for', '0s', '--reason', 'x'], 2],
    ['more than a day', ['shop', '--for', '25h', '--reason', 'x'], 2],
    ['a time that is none', ['shop', '--for', 'soon', '--reason', 'x'], 2],
    ['a namespace that is not there', ['no-such', '--for', '1m', '--reason', 'x'], 1],
  ] as const) {
    it(`refuses ${title}`, async () => {
      assert.equal((await meshctl('bypass', ...args)).code, code);
    });
  }
});

describe('a mesh that is not installed', () => {
  for (const args of [
    ['status'],
    ['get', 'workloads'],
    ['why', 'a', 'b'],
    ['proxy-config', 'services'],
  ]) {
    it(`answers 69 to ${args.join(' ')}`, async () => {
      const { code, stderr } = await meshctl(...args, '-i', namespace);
      assert.equal(code, 69, stderr);
      assert.match(stderr, new RegExp(`namespace ${namespace}`));
    });
  }
});
