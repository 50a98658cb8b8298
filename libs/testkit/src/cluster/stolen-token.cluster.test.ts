/** Whoever steals the token of one node's agent gets no identity of a pod on another node, nor without a live pod behind it. */
import assert from 'node:assert/strict';
import { createInterface } from 'node:readline';
import { after, before, describe, it } from 'node:test';
import { createCertificateRequest } from '@ambit/identity';
import { createCertificateClient } from '@ambit/xds';
import { kubectl, startKubectl, stopProcess } from './kubectl.ts';
import { CONTROLLER, MeshCluster, SYSTEM } from './mesh-cluster.ts';
import { ENROLLED, pod } from './objects.ts';

const ACCOUNT = 'ambit-node-agent';
const TTL_SECONDS = 600;

let mesh: MeshCluster;
let namespace: string;
let port = 0;
const forward = { stop: (): void => undefined };

before(async () => {
  mesh = await MeshCluster.open();
  namespace = await mesh.namespace('stolen', ENROLLED);
  for (const [i, node] of mesh.nodes.entries()) {
    const name = `here-${i}`;
    const account = { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name, namespace } };
    const spec = { serviceAccountName: name };
    await mesh.apply(account, pod(mesh.images, { name, namespace, program: 'c', node, spec }));
  }
  await mesh.ready(namespace);
  const child = startKubectl('-n', SYSTEM, 'port-forward', CONTROLLER, ':15012');
  forward.stop = () => void stopProcess(child);
  const lines = createInterface({ input: child.stdout ?? process.stdin });
  const { value } = await lines[Symbol.asyncIterator]().next();
  port = Number(/127\.0\.0\.1:(\d+)/.exec(String(value))?.[1]);
});
after(async () => {
  forward.stop();
  await mesh?.[Symbol.asyncDispose]();
});

async function agentToken(...more: readonly string[]): Promise<string> {
  const pods = await mesh.pods(SYSTEM, 'app.kubernetes.io/name=ambit-node-agent');
  const own = pods.find(({ node, phase }) => node === mesh.nodes[0] && phase === 'Running');
  const bound = ['--bound-object-kind=Pod', `--bound-object-name=${own?.name}`];
  const args = more.length > 0 ? more : ['--audience=istio-ca', ...bound];
  return (await kubectl(['-n', SYSTEM, 'create', 'token', ACCOUNT, ...args])).trim();
}

/** The names in the first certificate, or the refusal. */
async function ask(token: string, account: string): Promise<string> {
  const path = 'jsonpath={.data.root-cert\\.pem}';
  const root = await kubectl(['-n', SYSTEM, 'get', 'configmap', 'ambit-ca-root-cert', '-o', path]);
  const client = createCertificateClient({
    address: `https://127.0.0.1:${port}`,
    serverName: 'localhost',
    rootCa: async () => await Promise.resolve(root),
    token: async () => await Promise.resolve(token),
    clusterId: 'Kubernetes',
    impersonate: true,
  });
  const identity = `spiffe://cluster.local/ns/${namespace}/sa/${account}`;
  try {
    const { csrPem } = await createCertificateRequest(identity);
    const signal = AbortSignal.timeout(20_000);
    const chain = await client.sign({ identity, csrPem, ttlSeconds: TTL_SECONDS, signal });
    return chain.length > 0 ? 'signed' : 'nothing';
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  } finally {
    client.close();
  }
}

describe('with the token of an agent', { timeout: 120_000 }, () => {
  it('there are certificates of accounts on its own node', async () => {
    assert.equal(await ask(await agentToken(), 'here-0'), 'signed');
  });

  const REFUSED: readonly (readonly [what: string, account: string, token: readonly string[]])[] = [
    ['an account with pods on another node only', 'here-1', []],
    ['an account without pods', 'default', []],
    ['a token that is bound to no pod', 'here-0', ['--audience=istio-ca']],
    ['a token for another audience', 'here-0', ['--audience=somebody']],
  ];
  for (const [what, account, token] of REFUSED) {
    it(`is refused: ${what}`, async () => {
      assert.match(await ask(await agentToken(...token), account), /the CA refused/);
    });
  }

  it('is refused: the token of another account', async () => {
    const args = ['create', 'token', 'here-1', '--audience=istio-ca'];
    const bound = ['--bound-object-kind=Pod', '--bound-object-name=here-1'];
    const token = await kubectl(['-n', namespace, ...args, ...bound]);
    assert.match(await ask(token.trim(), 'here-0'), /the CA refused/);
  });
});
