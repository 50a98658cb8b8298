/** The YAML of the bookshop, as it is in manifests/samples, on a cluster: canaries, policies and STRICT. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { parseYaml } from '@ambit/api';
import type { Caller } from '@ambit/lab/testing';
import { root } from './images.ts';
import { kubectl } from './kubectl.ts';
import { MeshCluster } from './mesh-cluster.ts';
import type { Json } from './objects.ts';

const SAMPLES = join(root, 'manifests', 'samples');

let mesh: MeshCluster;
let client: Caller;
let stranger: Caller;

function documents(file: string): readonly Json[] {
  const text = readFileSync(join(SAMPLES, file), 'utf8');
  return parseYaml(text, { source: file }).documents.map(({ value }) => value as Json);
}

interface Workload {
  readonly spec: { readonly template: { readonly spec: { containers: readonly Json[] } } };
}

/** The samples name no image: whoever applies them brings one that has Node and the scripts. */
function withImage(object: Json): Json {
  if (object['kind'] === 'Deployment') {
    const { spec } = (object as unknown as Workload).spec.template;
    const image = mesh.images.program('node');
    spec.containers = spec.containers.map((container) => ({ image, ...container }));
    return { ...object };
  }
  return object;
}

async function applyStep(file: string): Promise<void> {
  const objects = documents(join('bookshop-steps', file));
  await mesh.apply(...objects);
  for (const object of objects) {
    const { kind, metadata } = object as { kind: string; metadata: { name: string } };
    const what = `${kind.toLowerCase()}/${metadata.name}`;
    await kubectl(['-n', 'shop', 'wait', what, '--for=condition=Enforced', '--timeout=60s']);
  }
}

async function podOf(namespace: string, app: string): Promise<string> {
  const [found] = await mesh.pods(namespace, `app=${app}`);
  return found?.name ?? '';
}

before(async () => {
  mesh = await MeshCluster.open();
  mesh.disposeOf('shop');
  mesh.disposeOf('street');
  const files = ['bookshop/bookshop.yaml', 'bookshop/client.yaml'];
  await mesh.apply(...files.flatMap(documents).map(withImage));
  await Promise.all([mesh.ready('shop'), mesh.ready('street')]);
  client = mesh.caller('shop', await podOf('shop', 'client'));
  stranger = mesh.caller('street', await podOf('street', 'stranger'));
});
after(async () => {
  await mesh?.[Symbol.asyncDispose]();
});

interface Page {
  readonly version: string;
}

async function versionFor(headers: Readonly<Record<string, string>>): Promise<string> {
  const { status, body } = await client.http({ url: 'http://reviews/reviews/0', headers });
  return status === 200 ? (JSON.parse(body) as Page).version : `${status} ${body}`;
}

describe('the bookshop', { timeout: 240_000 }, () => {
  it('shows testers the new reviews, and everybody else the old', async () => {
    await applyStep('canary-header.yaml');
    for (let i = 0; i < 10; i += 1) {
      assert.equal(await versionFor({ 'end-user': 'tester' }), 'v3');
      assert.equal(await versionFor({ 'end-user': 'somebody' }), 'v1');
    }
  });

  it('shows one request in five the new reviews', async () => {
    await applyStep('canary-weight.yaml');
    const seen: Record<string, number> = {};
    const asked = Array.from({ length: 200 }, async () => await versionFor({}));
    for (const version of await Promise.all(asked)) {
      seen[version] = (seen[version] ?? 0) + 1;
    }
    assert.deepEqual(Object.keys(seen).sort(), ['v1', 'v2'], JSON.stringify(seen));
    assert.ok((seen['v2'] ?? 0) > 16 && (seen['v2'] ?? 0) < 72, JSON.stringify(seen));
  });

  it('lets only the reviews read ratings', async () => {
    await applyStep('deny.yaml');
    const refused = await client.http({ url: 'http://ratings/ratings/0' });
    assert.equal(refused.status, 403, refused.body);
    const page = await client.http({ url: 'http://reviews/', headers: { 'end-user': 'x' } });
    assert.equal(page.status, 200);
    const written = await client.http({ url: 'http://ratings/ratings/0', method: 'POST' });
    assert.equal(written.status, 403, written.body);
  });

  it('answers strangers until it is strict', async () => {
    assert.equal((await stranger.http({ url: 'http://details.shop/' })).status, 200);
    await applyStep('strict-mtls.yaml');
    assert.equal((await stranger.http({ url: 'http://details.shop/' })).status, 0);
    assert.equal((await client.http({ url: 'http://details/' })).status, 200);
  });
});
