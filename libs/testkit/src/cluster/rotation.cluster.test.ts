/**
 * A new root under load, by `meshctl ca rotate`: no request fails, direct, over connections that stay, or through a waypoint;
 * and at the end nobody believes the old root, nor shows a certificate of it.
 */
import assert from 'node:assert/strict';
import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  X509Certificate,
} from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { systemClock } from '@ambit/core';
import { buildLeaf, parseCertificates } from '@ambit/identity';
import type { AdminCa } from '@ambit/model';
import { kubectl, tryKubectl } from './kubectl.ts';
import { LoadedMesh } from './load.ts';
import { CONTROLLER, MeshCluster, SYSTEM } from './mesh-cluster.ts';
import { pod } from './objects.ts';

/** Proxies ask again at half of it, so a step does not take the half minute that they have. */
const TTL_SECONDS = 16;
const LEAF_MS = 600_000;
const TOUCH_MS = 3_000;
const LOOK_MS = 1_000;
/** At the end of the handshake: by an alert, or by hanging up. */
const REFUSED = /UNKNOWN_CA|ECONNRESET|CLOSED/;

let mesh: MeshCluster;
let load: LoadedMesh;
let outside: string;
/** What signed before. */
let old: Ca;

before(async () => {
  mesh = await MeshCluster.open();
  // The next installation puts it back.
  await kubectl(['-n', SYSTEM, 'set', 'env', CONTROLLER, `AMBIT_CERT_TTL_SECONDS=${TTL_SECONDS}`]);
  await mesh.rollout(CONTROLLER);
  load = await LoadedMesh.open({ mesh });
  outside = await mesh.namespace('outside');
  const [node] = mesh.nodes;
  await mesh.apply(
    pod(mesh.images, { name: 'stranger', namespace: outside, program: 'client', node }),
  );
  await mesh.ready(outside);
});
after(async () => {
  await mesh?.[Symbol.asyncDispose]();
});

interface Ca {
  readonly certificate: string;
  readonly key: string;
}

/** What signs now. */
async function signing(): Promise<Ca> {
  const text = await kubectl(['-n', SYSTEM, 'get', 'secret', 'ambit-ca-secret', '-o', 'json']);
  const { data } = JSON.parse(text) as { readonly data: Readonly<Record<string, string>> };
  const value = (key: string): string => Buffer.from(data[key] ?? '', 'base64').toString();
  return { certificate: value('ca-cert.pem'), key: value('ca-key.pem') };
}

async function status(): Promise<AdminCa> {
  const { stdout, stderr } = await mesh.meshctl('ca', 'status', '-o', 'json');
  assert.notEqual(stdout, '', stderr);
  return JSON.parse(stdout) as AdminCa;
}

interface Tunnelled {
  readonly status?: number;
  readonly error?: string;
}

/** A tunnel to `to` as the client of the load, with a certificate of `issuer`, believing in `believed` alone. */
async function tunnel(to: string, issuer: Ca, believed: Ca): Promise<Tunnelled> {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  const nowMs = Date.now();
  const { pem: cert } = buildLeaf({
    issuer: {
      certificate: new X509Certificate(issuer.certificate),
      privateKey: createPrivateKey(issuer.key),
    },
    publicKey: createPublicKey(privateKey),
    names: [{ kind: 'uri', value: `spiffe://cluster.local/ns/${load.plain}/sa/default` }],
    validity: { notBeforeMs: nowMs - LEAF_MS, notAfterMs: nowMs + LEAF_MS },
  });
  const options = {
    address: `${to}:15008`,
    authority: `${to}:8080`,
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }),
    cert,
    ca: believed.certificate,
  };
  const argv = ['-n', outside, 'exec', '-i', 'stranger', '--', 'node', 'tunnel.mjs'];
  const { stdout, stderr } = await tryKubectl(argv, JSON.stringify(options));
  assert.notEqual(stdout, '', stderr);
  return JSON.parse(stdout) as Tunnelled;
}

/** An agent's end of a tunnel and a waypoint's, by address. */
async function peers(): Promise<readonly string[]> {
  const [web] = await mesh.pods(load.plain, 'app=web');
  const pods = await mesh.pods(load.way);
  const waypoint = pods.find(({ name }) => name.startsWith('waypoint'));
  assert.ok(web !== undefined && waypoint !== undefined);
  return [web.ip, waypoint.ip];
}

/** Until `signal` aborts. Kubelet brings a ConfigMap into a pod within a minute, and when the pod changes. */
async function touchProxies(signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const mark = `ambit.test/touched=${Date.now()}`;
    for (const namespace of [SYSTEM, load.way]) {
      await tryKubectl(['-n', namespace, 'annotate', 'pods', '--all', '--overwrite', mark]);
    }
    await systemClock.sleep(TOUCH_MS, signal).catch(() => undefined);
  }
}

/** Until proxies have what the change brought. */
async function followed(change: () => Promise<void>): Promise<void> {
  const done = new AbortController();
  const touching = touchProxies(done.signal);
  try {
    await change();
    await mesh.until('all proxies have followed', async () => {
      await systemClock.sleep(LOOK_MS);
      const { waiting, proxies } = await status();
      return waiting.length === 0 && proxies > mesh.nodes.length;
    });
  } finally {
    done.abort();
    await touching;
  }
}

async function rotate(...options: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await mesh.meshctl('ca', 'rotate', ...options);
  assert.equal(code, 0, `${stderr}${stdout}`);
  return stdout;
}

async function bothAreBelieved(before: Ca, next: Ca): Promise<void> {
  assert.notEqual(next.certificate, before.certificate);
  for (const peer of await peers()) {
    for (const issuer of [before, next]) {
      const { status: answered, error } = await tunnel(peer, issuer, next);
      assert.ok(answered !== undefined, `both are believed while both are trusted: ${error}`);
    }
  }
}

describe('a new root under load', { timeout: 280_000 }, () => {
  it('comes in three steps without a failed request', async () => {
    old = await signing();
    await load.underLoad(async () => {
      await followed(async () => {
        assert.match(await rotate('--step'), /next root is trusted beside the old one/);
      });
      const { step, next, roots } = await status();
      const uses = roots.map(({ use }) => use);
      assert.deepEqual([step, next, ...uses], ['distribute', 'sign', 'signs', 'next']);

      await followed(async () => {
        assert.match(await rotate('--step'), /next root signs; the old one is still trusted/);
      });
      await bothAreBelieved(old, await signing());

      await followed(async () => {
        assert.match(await rotate(), /old root is trusted no longer/);
      });
    });
  });

  it('is the only one that is handed out and believed', async () => {
    const next = await signing();
    const { certificate } = next;
    const { step, roots } = await status();
    const { fingerprint256 } = new X509Certificate(certificate);
    assert.deepEqual(
      [step, ...roots.map(({ fingerprint, use }) => [fingerprint, use])],
      ['none', [fingerprint256, 'signs']],
    );
    for (const peer of await peers()) {
      assert.ok((await tunnel(peer, next, next)).status !== undefined, 'the new root is believed');
      assert.match((await tunnel(peer, old, next)).error ?? 'it is believed', REFUSED);
      assert.match((await tunnel(peer, next, old)).error ?? 'it is shown', /UNABLE_TO|SELF_SIGNED/);
    }
    const path = 'jsonpath={.data.root-cert\\.pem}';
    for (const namespace of [SYSTEM, load.plain, load.way]) {
      const given = ['-n', namespace, 'get', 'configmap', 'ambit-ca-root-cert', '-o', path];
      assert.equal(parseCertificates(await kubectl(given)).join(''), certificate, namespace);
    }
  });
});
