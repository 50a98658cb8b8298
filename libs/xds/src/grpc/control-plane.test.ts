import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { connect } from 'node:tls';

import { type Clock, systemClock } from '@ambit/core';
import {
  CertificateAuthority,
  CertificateManager,
  createCertificateRequest,
  IdentityError,
  type PodIndex,
  PodTokenIssuer,
  parseCertificates,
  type TokenVerifier,
} from '@ambit/identity';
import { fromBinary } from '@bufbuild/protobuf';
import { Client, credentials, Metadata, type ServiceError, status } from '@grpc/grpc-js';

import { DeltaClient } from '../client/delta-client.ts';
import { announceNames, type RawResource, type Subscription } from '../client/subscription.ts';
import {
  type DeltaDiscoveryRequest,
  DeltaDiscoveryRequestSchema,
} from '../gen/envoy/service/discovery/v3/discovery_pb.ts';
import { buildNode } from '../node.ts';
import { DeltaServer, type DeltaServerEvent } from '../server/delta-server.ts';
import { MapSource, opaque } from '../testing.ts';
import { TYPE_URL } from '../type-urls.ts';
import { createCertificateClient } from './certificate-client.ts';
import type { CertificateServiceEvent } from './certificate-service.ts';
import type { ControlPlaneAddress } from './channel.ts';
import { ControlPlaneServer } from './control-plane-server.ts';
import { openDeltaStream } from './delta-transport.ts';
import { DELTA_METHOD } from './methods.ts';

/** The pods of the recordings, as far as the refusals need them. */
const PODS = [
  {
    namespace: 'istio-system',
    name: 'ztunnel-hxphz',
    uid: 'u1',
    serviceAccount: 'ztunnel',
    node: 'node1',
  },
  { namespace: 'bookshop', name: 'client', uid: 'u2', serviceAccount: 'client', node: 'node1' },
  { namespace: 'bookshop', name: 'ratings-0', uid: 'u3', serviceAccount: 'ratings', node: 'node2' },
];
const index: PodIndex = {
  pod: (namespace, name) => PODS.find((pod) => pod.namespace === namespace && pod.name === name),
  hasPodOnNode: ({ namespace, serviceAccount, node }) =>
    PODS.some(
      (pod) =>
        pod.namespace === namespace && pod.serviceAccount === serviceAccount && pod.node === node,
    ),
};
const AGENT = {
  namespace: 'istio-system',
  serviceAccount: 'ztunnel',
  pod: { name: 'ztunnel-hxphz', uid: 'u1' },
  node: 'node1',
  ttlSeconds: 600,
};
const node = buildNode({
  type: 'ztunnel',
  ip: '10.244.1.2',
  podName: 'ztunnel-hxphz',
  namespace: 'istio-system',
  metadata: { NODE_NAME: 'node1', SERVICE_ACCOUNT: 'ztunnel', CLUSTER_ID: 'Kubernetes' },
});

const folder = await mkdtemp(join(tmpdir(), 'ambit-control-plane-'));
const clock: Clock = systemClock;
const source = new MapSource();
const events: DeltaServerEvent[] = [];
const certificateEvents: CertificateServiceEvent[] = [];
const tokens = await PodTokenIssuer.create({ clock });
const authority = await CertificateAuthority.openOwn({
  folder,
  trustDomain: 'cluster.local',
  clock,
  defaultTtlSeconds: 3600,
});
const delta = new DeltaServer({ clock, source, onEvent: (event) => events.push(event) });
const server = new ControlPlaneServer({
  delta,
  verifier: tokens,
  certificates: {
    verifier: tokens,
    authority,
    index,
    trustedNodeAccounts: new Set(['istio-system/ztunnel']),
    onEvent: (event) => certificateEvents.push(event),
  },
  serving: authority.issueServing({ names: ['127.0.0.1', 'controller.test'], ttlSeconds: 3600 }),
});
let port = 0;

before(async () => {
  port = await server.listen('127.0.0.1:0');
});
after(async () => {
  server.stop();
  await rm(folder, { recursive: true });
});

async function target(overrides: Partial<ControlPlaneAddress> = {}): Promise<ControlPlaneAddress> {
  const token = await tokens.mint(AGENT);
  return {
    address: `https://127.0.0.1:${port}`,
    rootCa: () => Promise.resolve(authority.rootBundlePem),
    token: () => Promise.resolve(token),
    clusterId: 'Kubernetes',
    ...overrides,
  };
}

/** Waits until `check` holds; the test's own timeout is the limit. */
async function until(check: () => boolean): Promise<void> {
  while (!check()) {
    await new Promise(setImmediate);
  }
}

describe('control plane over gRPC', () => {
  it('syncs, pushes, and hears acknowledgements', async () => {
    source.apply([
      { typeUrl: TYPE_URL.authorization, set: [opaque('ns/p', '1')] },
      { typeUrl: TYPE_URL.address, set: [opaque('uid-1', 'a')] },
    ]);
    const log: string[] = [];
    const record = (typeUrl: string): Subscription => ({
      typeUrl,
      mode: 'wildcard',
      apply: ({ changed, removed }) => {
        const text = changed.map((r: RawResource) => `${r.name}@${r.version}`);
        log.push(...text, ...removed.map((name) => `-${name}`));
        return Promise.resolve([]);
      },
    });
    const client = new DeltaClient({
      clock,
      open: openDeltaStream(await target()),
      node,
      subscriptions: [
        record(TYPE_URL.authorization),
        record(TYPE_URL.address),
        announceNames(TYPE_URL.capture),
      ],
    });
    client.start();
    await client.firstSync;
    assert.deepEqual(log, ['ns/p@1', 'uid-1@a']);
    source.apply([
      { typeUrl: TYPE_URL.authorization, remove: ['ns/p'] },
      { typeUrl: TYPE_URL.address, set: [opaque('uid-1', 'b')] },
    ]);
    await until(() => log.length === 4);
    assert.deepEqual(log.slice(2), ['uid-1@b', '-ns/p'], 'a policy goes after those who name it');
    client.setNames(TYPE_URL.capture, new Set(['uid-1']));
    const [stream] = delta.streams();
    await until(() => stream?.types.get(TYPE_URL.capture)?.names.has('uid-1') === true);
    await until(() => stream?.types.get(TYPE_URL.address)?.acked.get('uid-1') === 'b');
    assert.equal(stream?.node?.nodeName, 'node1');
    assert.equal(client.status().types[0]?.state, 'ACKED');
    await client.stop();
    await until(() => delta.streams().length === 0);
  });

  it('reconnects after the server is gone and gets only what changed', async () => {
    const own = new MapSource();
    own.apply([{ typeUrl: TYPE_URL.address, set: [opaque('a', '1'), opaque('b', '1')] }]);
    const start = async (at: string): Promise<{ server: ControlPlaneServer; port: number }> => {
      const next = new ControlPlaneServer({
        delta: new DeltaServer({ clock, source: own }),
        verifier: tokens,
        certificates: { verifier: tokens, authority, index, trustedNodeAccounts: new Set() },
        serving: authority.issueServing({ names: ['127.0.0.1'], ttlSeconds: 3600 }),
      });
      return { server: next, port: await next.listen(at) };
    };
    const first = await start('127.0.0.1:0');
    const log: string[] = [];
    const client = new DeltaClient({
      clock,
      open: openDeltaStream(await target({ address: `127.0.0.1:${first.port}` })),
      node,
      subscriptions: [
        {
          typeUrl: TYPE_URL.address,
          mode: 'wildcard',
          apply: ({ changed, removed }) => {
            log.push(
              [...changed.map(({ name }) => name), ...removed.map((name) => `-${name}`)].join(),
            );
            return Promise.resolve([]);
          },
        },
      ],
    });
    client.start();
    await client.firstSync;
    first.server.stop();
    await until(() => !client.status().connected);
    own.apply([{ typeUrl: TYPE_URL.address, set: [opaque('c', '1')], remove: ['b'] }]);
    const second = await start(`127.0.0.1:${first.port}`);
    await until(() => log.length === 2);
    assert.deepEqual(log, ['a,b', 'c,-b']);
    await client.stop();
    second.server.stop();
  });

  it('refuses a server that the root does not vouch for, and another name', async () => {
    const stranger = await CertificateAuthority.openOwn({
      folder: join(folder, 'stranger'),
      trustDomain: 'cluster.local',
      clock,
      defaultTtlSeconds: 3600,
    });
    const wrong = [
      [{ rootCa: () => Promise.resolve(stranger.rootBundlePem) }, /certificate/],
      [{ serverName: 'other.test' }, /altnames/],
      [{ address: '127.0.0.1:1' }, /ECONNREFUSED/],
    ] as const;
    for (const [overrides, reason] of wrong) {
      const open = openDeltaStream(await target(overrides));
      await assert.rejects(open(new AbortController().signal), reason);
    }
    const named = openDeltaStream(await target({ serverName: 'controller.test' }));
    (await named(new AbortController().signal)).close();
  });

  it('shows a replaced serving certificate to new connections', async () => {
    const before = await stateOfServing();
    server.setServing(
      authority.issueServing({ names: ['127.0.0.1', 'controller.test'], ttlSeconds: 1800 }),
    );
    await until(() => true);
    assert.notEqual(await stateOfServing(), before);
  });
});

async function stateOfServing(): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const socket = connect(
    { host: '127.0.0.1', port, ca: authority.rootBundlePem, ALPNProtocols: ['h2'] },
    () => {
      resolve(socket.getPeerX509Certificate()?.serialNumber ?? '');
      socket.destroy();
    },
  );
  socket.on('error', reject);
  return await promise;
}

describe('delta ADS refusals', () => {
  const recorded = JSON.parse(
    readFileSync(new URL('../../fixtures/xds/refusals.json', import.meta.url), 'utf8'),
  ) as { name: string; grpc_status_code?: number; request_base64: string }[];

  for (const { name, grpc_status_code, request_base64 } of recorded) {
    it(`answers ${name} with the status of the reference`, async () => {
      const request = fromBinary(
        DeltaDiscoveryRequestSchema,
        Buffer.from(request_base64, 'base64'),
      );
      const token = name.includes('no-token')
        ? undefined
        : name.includes('garbage')
          ? 'garbage'
          : await tokens.mint(AGENT);
      const outcome = await oneRequest(request, token);
      if (grpc_status_code === undefined) {
        assert.equal(outcome, 'answered');
      } else {
        assert.equal(status[Number(outcome)], status[grpc_status_code]);
      }
    });
  }

  it('refuses a node that is not the token’s', async () => {
    const request = fromBinary(
      DeltaDiscoveryRequestSchema,
      Buffer.from(recorded[0]?.request_base64 ?? '', 'base64'),
    );
    const token = await tokens.mint({ ...AGENT, node: 'node2' });
    assert.equal(await oneRequest(request, token), String(status.PERMISSION_DENIED));
  });
});

async function oneRequest(
  request: DeltaDiscoveryRequest,
  token: string | undefined,
  at = port,
): Promise<string> {
  const client = new Client(
    `127.0.0.1:${at}`,
    credentials.createSsl(Buffer.from(authority.rootBundlePem)),
    at === port ? { 'grpc.ssl_target_name_override': 'controller.test' } : {},
  );
  const metadata = new Metadata();
  if (token !== undefined) {
    metadata.set('authorization', `Bearer ${token}`);
  }
  const { path, requestSerialize, responseDeserialize } = DELTA_METHOD;
  const call = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, metadata);
  const { promise, resolve } = Promise.withResolvers<string>();
  call.on('data', () => resolve('answered'));
  call.on('error', (error: ServiceError) => resolve(String(error.code)));
  call.write(request);
  const outcome = await promise;
  call.cancel();
  client.close();
  return outcome;
}

describe('certificate service over gRPC', () => {
  it('gives an agent the certificates of its node and no other', async () => {
    const ca = createCertificateClient({ ...(await target()), impersonate: true });
    const manager = new CertificateManager({ clock, sign: ca.sign, ttlSeconds: 600 });
    const certificate = await manager.get('spiffe://cluster.local/ns/bookshop/sa/client');
    assert.equal(parseCertificates(certificate.chainPem).length, 1);
    await assert.rejects(
      manager.get('spiffe://cluster.local/ns/bookshop/sa/ratings'),
      /request impersonation authentication failure/,
    );
    await assert.rejects(manager.get('spiffe://other/ns/bookshop/sa/client'), /impersonation/);
    manager.stop();
    ca.close();
    const reasons = certificateEvents.flatMap((event) =>
      event.kind === 'refused' ? event.reason : [],
    );
    assert.match(reasons[0] ?? '', /no pod of bookshop\/ratings runs on node node1/);
  });

  it('answers bad tokens, requests and lifetimes as the reference does', async () => {
    const identity = 'spiffe://cluster.local/ns/istio-system/sa/ztunnel';
    const { csrPem } = await createCertificateRequest(identity);
    const { signal } = new AbortController();
    const good = { identity, csrPem, ttlSeconds: 600, signal };
    const ca = createCertificateClient({ ...(await target()), impersonate: false });
    assert.equal((await ca.sign(good)).length, 2);
    assert.equal((await ca.sign({ ...good, ttlSeconds: 0 })).length, 2);
    await assert.rejects(ca.sign({ ...good, csrPem: 'x' }), /INVALID_ARGUMENT: CSR signing error/);
    await assert.rejects(
      ca.sign({ ...good, ttlSeconds: 100 * 86_400 }),
      /INVALID_ARGUMENT: CSR signing error \(requested lifetime/,
    );
    ca.close();
    const tokensBad = [
      undefined,
      'garbage',
      await tokens.mint({ ...AGENT, audience: 'kubernetes' }),
    ];
    for (const token of tokensBad) {
      const bad = createCertificateClient({
        ...(await target({ token: () => Promise.resolve(token) })),
        impersonate: false,
      });
      await assert.rejects(bad.sign(good), /UNAUTHENTICATED: request authenticate failure/);
      bad.close();
    }
  });

  it('answers that it is unavailable while nobody can say whether a token is good, or the CA cannot sign', async () => {
    let verifier: TokenVerifier = {
      verify: () =>
        Promise.reject(
          new IdentityError('IDENTITY_TOKEN_REVIEW_UNAVAILABLE', 'secret', { retryable: true }),
        ),
    };
    const asking = { verify: (token: string) => verifier.verify(token) };
    const pending = CertificateAuthority.pending({
      trustDomain: authority.trustDomain,
      clock,
      defaultTtlSeconds: 60,
    });
    const away = new ControlPlaneServer({
      delta: new DeltaServer({ clock, source }),
      verifier: asking,
      certificates: {
        verifier: asking,
        authority: pending,
        index,
        trustedNodeAccounts: new Set(),
      },
      serving: authority.issueServing({ names: ['127.0.0.1'], ttlSeconds: 3600 }),
    });
    const awayPort = await away.listen('127.0.0.1:0');
    const address = { ...(await target()), address: `https://127.0.0.1:${awayPort}` };
    const ca = createCertificateClient({ ...address, impersonate: false });
    try {
      const identity = 'spiffe://cluster.local/ns/istio-system/sa/ztunnel';
      const { csrPem } = await createCertificateRequest(identity);
      const { signal } = new AbortController();
      const request = { identity, csrPem, ttlSeconds: 600, signal };
      await assert.rejects(ca.sign(request), /UNAVAILABLE: authentication is not possible now/);
      const delta = fromBinary(DeltaDiscoveryRequestSchema, new Uint8Array());
      assert.equal(await oneRequest(delta, 'x', awayPort), String(status.UNAVAILABLE));
      verifier = tokens;
      await assert.rejects(ca.sign(request), /UNAVAILABLE: CSR signing is not possible now/);
    } finally {
      ca.close();
      away.stop();
    }
  });

  it('follows a changed root and survives a request that was cut off', async () => {
    let root = 'not a root';
    const ca = createCertificateClient({
      ...(await target()),
      rootCa: () => Promise.resolve(root),
      impersonate: false,
    });
    const identity = 'spiffe://cluster.local/ns/istio-system/sa/ztunnel';
    const { csrPem } = await createCertificateRequest(identity);
    const request = { identity, csrPem, ttlSeconds: 60, signal: new AbortController().signal };
    await assert.rejects(ca.sign(request));
    root = authority.rootBundlePem;
    await ca.sign(request);
    await assert.rejects(
      ca.sign({ ...request, signal: AbortSignal.abort(new Error('gone')) }),
      /gone/,
    );
    await ca.sign(request);
    ca.close();
  });
});
