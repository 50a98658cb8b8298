import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { FakeClock } from '@ambit/core/testing';
import { type Kubeconfig, loadKubeconfig } from './kubeconfig.ts';

let dir = '';
before(() => {
  dir = mkdtempSync(join(tmpdir(), 'ambit-kubeconfig-'));
});
after(() => {
  rmSync(dir, { recursive: true });
});

const base64 = (text: string): string => Buffer.from(text).toString('base64');

function config(user: object, cluster: object = {}): object {
  return {
    'current-context': 'main',
    clusters: [{ name: 'c', cluster: { server: 'https://api:6443', ...cluster } }],
    users: [{ name: 'u', user }],
    contexts: [
      { name: 'main', context: { cluster: 'c', user: 'u', namespace: 'team' } },
      { name: 'nobody', context: { cluster: 'c' } },
      { name: 'lost', context: { cluster: 'gone', user: 'u' } },
      { name: 'stranger', context: { cluster: 'c', user: 'gone' } },
    ],
  };
}

function file(name: string, content: object | string): string {
  const path = join(dir, name);
  writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content));
  return path;
}

function load(content: object | string, clock = new FakeClock()): Kubeconfig {
  return loadKubeconfig({ path: file('config', content), environment: {}, clock });
}

describe('loadKubeconfig', () => {
  it('reads contexts, and the credentials of each', async () => {
    const loaded = load(config({ token: 'abc' }, { 'certificate-authority-data': base64('root') }));
    assert.deepEqual(loaded.contexts, ['main', 'nobody', 'lost', 'stranger']);
    const credentials = loaded.credentials();
    assert.equal(credentials.server, 'https://api:6443');
    assert.equal(credentials.namespace, 'team');
    const { headers, tls } = await credentials.apply();
    assert.deepEqual(headers, { authorization: 'Bearer abc' });
    assert.deepEqual(tls, { ca: 'root' });
    assert.equal((await credentials.apply()).tls, tls, 'the same object, so connections are kept');
    assert.deepEqual((await loaded.credentials('nobody').apply()).headers, {});
    assert.equal(loaded.credentials('nobody').namespace, 'default');
  });

  it('reads files beside the kubeconfig', async () => {
    file('ca.pem', 'root');
    file('cert.pem', 'cert');
    file('key.pem', 'key');
    const user = { 'client-certificate': 'cert.pem', 'client-key': join(dir, 'key.pem') };
    const loaded = load(
      config(user, { 'certificate-authority': 'ca.pem', 'tls-server-name': 'x' }),
    );
    assert.deepEqual((await loaded.credentials().apply()).tls, {
      ca: 'root',
      cert: 'cert',
      key: 'key',
      servername: 'x',
    });
  });

  it('reads a token file again after a minute and after a refusal, without its newline', async () => {
    const clock = new FakeClock();
    file('token', 'one\n');
    const credentials = load(config({ tokenFile: 'token' }), clock).credentials();
    const token = async () => (await credentials.apply()).headers['authorization'];
    assert.equal(await token(), 'Bearer one');
    file('token', 'two\n');
    clock.advance(59_000);
    assert.equal(await token(), 'Bearer one');
    clock.advance(2_000);
    assert.equal(await token(), 'Bearer two');
    file('token', 'three');
    credentials.invalidate();
    assert.equal(await token(), 'Bearer three');
    rmSync(join(dir, 'token'));
    credentials.invalidate();
    await assert.rejects(credentials.apply(), { code: 'KUBE_CREDENTIALS_UNAVAILABLE' });
  });

  it('runs an exec plug-in with what it must know, and once while its token is valid', async () => {
    const script = [
      'echo run >> "$DIR/runs"',
      'test -n "$KUBERNETES_EXEC_INFO" || exit 1',
      `echo '{"status":{"token":"made","expirationTimestamp":"2999-01-01T00:00:00Z"}}'`,
    ].join('\n');
    const exec = {
      apiVersion: 'client.authentication.k8s.io/v1',
      command: 'sh',
      args: ['-c', script],
      env: [{ name: 'DIR', value: dir }],
    };
    file('runs', '');
    const credentials = load(config({ exec })).credentials();
    await credentials.apply();
    const { headers } = await credentials.apply();
    assert.equal(headers['authorization'], 'Bearer made');
    const { readFileSync } = await import('node:fs');
    assert.equal(readFileSync(join(dir, 'runs'), 'utf8'), 'run\n');
  });

  it('says when an exec plug-in fails', async () => {
    const exec = { apiVersion: 'v1', command: 'sh', args: ['-c', 'echo broken >&2; exit 3'] };
    await assert.rejects(load(config({ exec })).credentials().apply(), (error: Error) => {
      assert.match(String((error.cause as Error).message), /broken/);
      return true;
    });
  });

  it('merges the files of KUBECONFIG, the first to say a name wins', () => {
    const one = file('one', config({ token: '1' }));
    const other = {
      'current-context': 'other',
      clusters: [{ name: 'c', cluster: { server: 'https://other:1' } }],
      users: [],
      contexts: [{ name: 'other', context: { cluster: 'c' } }],
    };
    const two = file('two', other);
    const environment = { KUBECONFIG: `${join(dir, 'absent')}:${one}:${two}` };
    const loaded = loadKubeconfig({ environment, clock: new FakeClock() });
    assert.equal(loaded.currentContext, 'main');
    assert.equal(loaded.credentials('other').server, 'https://api:6443');
  });

  it('is the pod when there is no file', async () => {
    const environment = { KUBERNETES_SERVICE_HOST: 'fd00::1', KUBERNETES_SERVICE_PORT: '443' };
    file('token', 'pod-token');
    file('ca.crt', 'pod-root');
    file('namespace', 'istio-system\n');
    const options = { environment, clock: new FakeClock(), serviceAccountDir: dir };
    const credentials = loadKubeconfig(options).credentials();
    assert.equal(credentials.server, 'https://[fd00::1]:443');
    assert.equal(credentials.namespace, 'istio-system');
    const { headers, tls } = await credentials.apply();
    assert.equal(headers['authorization'], 'Bearer pod-token');
    assert.equal(tls.ca, 'pod-root');
  });

  it('loads all of client-node for a proxy', async () => {
    const proxied = config({ token: 'abc' }, { 'proxy-url': 'http://127.0.0.1:1' });
    const { headers, agent } = await load(proxied).credentials().apply();
    assert.equal(headers['authorization'], 'Bearer abc');
    assert.notEqual(agent, undefined);
  });

  const refused: readonly [string, () => unknown, RegExp][] = [
    ['a file that is not there', () => loadKubeconfig(options(join(dir, 'no'))), /no"?: ENOENT/],
    ['a file that is no YAML', () => load('{'), /kubeconfig/],
    ['a cluster without server', () => load({ clusters: [{ name: 'c', cluster: {} }] }), /server/],
    ['an unknown context', () => load(config({})).credentials('no'), /known: main, nobody/],
    ['no current context', () => load({}).credentials(), /no context ""/],
    ['an unknown cluster', () => load(config({})).credentials('lost'), /unknown cluster "gone"/],
    ['an unknown user', () => load(config({})).credentials('stranger'), /unknown user "gone"/],
    ['a server in clear', () => clear('http://api:6443'), /not an https URL/],
    ['no server', () => clear('api'), /not an https URL/],
    ['nothing at all', () => loadKubeconfig({ environment: {}, clock: new FakeClock() }), /no pod/],
    [
      'files that are not there',
      () => loadKubeconfig({ environment: { KUBECONFIG: '/no/a:/no/b' }, clock: new FakeClock() }),
      /no file of KUBECONFIG/,
    ],
  ];
  for (const [name, work, message] of refused) {
    it(`refuses ${name}`, () => {
      assert.throws(work, { code: 'KUBE_CONFIG_INVALID', message });
    });
  }

  function options(path: string) {
    return { path, environment: {}, clock: new FakeClock() };
  }

  function clear(server: string): unknown {
    return load(config({ token: 'x' }, { server })).credentials();
  }
});
