import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { FakeApiServer, fail } from '@ambit/kube/testing';
import { runMeshctl } from '../testing.ts';

const folder = mkdtempSync(join(tmpdir(), 'meshctl-logs-'));
const kubeconfig = join(folder, 'config');
const PODS = { group: '', versions: ['v1'], resource: 'pods', kind: 'Pod' };
const server = new FakeApiServer([PODS]);

const LOGS: Readonly<Record<string, string>> = {
  'controller-0':
    '{"time":"2026-01-31T12:00:02Z","scope":"ca","message":"certificate refused","reason":"not here"}\n',
  'agent-a': '{"time":"2026-01-31T12:00:01Z","scope":"pods","message":"captured"}\nno JSON',
  'agent-b': '{"time":"2026-01-31T12:00:03Z","scope":"pods","message":"released"}\n',
};

function put(name: string, app: string, nodeName: string): void {
  server.put('pods', {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'istio-system', labels: { 'app.kubernetes.io/name': app } },
    spec: { nodeName, containers: [{ name: 'a', image: 'x' }] },
    status: { phase: 'Running' },
  });
}

before(async () => {
  await server.start();
  put('controller-0', 'ambit-controller', 'n1');
  put('agent-a', 'ambit-node-agent', 'n1');
  put('agent-b', 'ambit-node-agent', 'n2');
  put('broken', 'ambit-node-agent', 'n3');
  server.intercept = ({ url }, response) => {
    // The fake does not select; what a test needs of it is this.
    const selector = url.searchParams.get('labelSelector');
    if (url.pathname.endsWith('/pods') && selector !== null) {
      const [, app = 'none'] = /^app\.kubernetes\.io\/name=(.*)$/.exec(selector) ?? [];
      const items = ['controller-0', 'agent-a', 'agent-b', 'broken']
        .map((name) => server.get('pods', `istio-system/${name}`))
        .filter((pod) => pod?.metadata.labels?.['app.kubernetes.io/name'] === app);
      response.end(JSON.stringify({ kind: 'List', metadata: {}, items }));
      return true;
    }
    const [, name] = /\/pods\/([^/]+)\/log$/.exec(url.pathname) ?? [];
    if (name === undefined) return false;
    const text = LOGS[name];
    if (text === undefined) fail(response, 400, 'BadRequest');
    else response.end(text);
    return true;
  };
  const config = {
    clusters: [{ name: 'c', cluster: { server: server.url } }],
    users: [{ name: 'u', user: { token: 'x' } }],
    contexts: [{ name: 'c', context: { cluster: 'c', user: 'u' } }],
    'current-context': 'c',
  };
  writeFileSync(kubeconfig, JSON.stringify(config));
});

after(async () => {
  await server[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
});

async function logs(...args: readonly string[]) {
  return await runMeshctl(['logs', ...args, '--kubeconfig', kubeconfig]);
}

describe('meshctl logs', () => {
  it('merges by time, and says whose log it could not get', async () => {
    const { stdout, stderr, code } = await logs();
    assert.deepEqual(
      stdout.split('\n').map((line) => line.slice(0, line.indexOf(']') + 1)),
      ['[agent/n1]', '[agent/n1]', '[controller-0]', '[agent/n2]', ''],
    );
    assert.match(stdout, /^\[agent\/n1\] no JSON$/m);
    assert.match(stderr, /no log of istio-system\/broken/);
    assert.equal(code, 1);
  });

  it('takes one program, one node, one pod', async () => {
    assert.match((await logs('controller')).stdout, /^\{"time"/);
    assert.match((await logs('agents', '--node', 'n2')).stdout, /^\{.*released/);
    assert.match((await logs('agent/n2')).stdout, /^\{.*released/);
    assert.match((await logs('agent-a')).stdout, /captured/);
  });

  it('shows refusals alone', async () => {
    const { stdout } = await logs('--refused', '--node', 'n1');
    assert.match(stdout, /^12:00:02\S* controller-0: certificate .*: not here\n$/);
  });

  it('passes on how much is wanted', async () => {
    await logs('controller', '--since', '90s', '--tail', '7', '-p');
    const asked = server.requests.at(-1)?.url.searchParams;
    assert.deepEqual(
      ['sinceSeconds', 'tailLines', 'previous'].map((key) => asked?.get(key)),
      ['90', '7', 'true'],
    );
  });

  for (const args of [['nobody'], ['agent', '--node', 'n9'], ['waypoint']]) {
    it(`answers 1 to ${args.join(' ')}`, async () => {
      const { code, stderr } = await logs(...args);
      assert.equal(code, 1, stderr);
      assert.match(stderr, /no log of/);
    });
  }
});
